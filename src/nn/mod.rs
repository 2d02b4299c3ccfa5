//! Networks made of the operations.

mod bound;
mod feed_forward;

pub use bound::BoundFeedForward;
pub use feed_forward::{FeedForward, FeedForwardArgs, Layer};
