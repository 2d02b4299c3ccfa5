//! Networks made of the operations.

mod backward;
mod between;
mod bound;
mod feed_forward;
mod mixture;
mod training;
mod workspace;

pub use backward::FeedForwardBackward;
pub use bound::BoundFeedForward;
pub use feed_forward::{FeedForward, FeedForwardArgs, Layer};
pub use mixture::{BoundMixture, Mixture, MixtureBackward, MixtureLayer, SharedExpert};
pub use training::{BoundTraining, FeedForwardTraining, Kept};
pub use workspace::Workspace;
