//! Networks made of the operations.

mod backward;
mod bound;
mod feed_forward;

pub use backward::FeedForwardBackward;
pub use bound::BoundFeedForward;
pub use feed_forward::{FeedForward, FeedForwardArgs, Layer};
