//! Networks made of the operations.

mod feed_forward;

pub use feed_forward::{FeedForward, FeedForwardArgs, Layer};
