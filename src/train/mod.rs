//! Training: networks of residual feed-forward blocks on a device, from initial numbers to checkpoints.
//!
//! A [`Trainer`] makes one [`Plan`](crate::Plan) of a whole step: data, forward, loss, backward, norms, loss scaling,
//! clipping, updates. Every step records the same plan; what changes from one to the next (counts, learning rate, loss scale)
//! lives in a tensor on the device, so that a step reads nothing back; the history of the last 64 is read when asked, or when it
//! is full. The same seed gives the same
//! bits on one adapter.
//!
//! # Mixed precision
//!
//! [`TrainerOptions::element`] is the kind of the weights that layers compute with, of what passes between blocks, and of all
//! gradients; master weights, optimizer's moments, sums, logits and losses are f32. [`TrainerOptions::hidden`] is the kind of
//! what lies inside a block. It is chosen apart, since a gate's product is quadratic in its input and passes f16's 65504 first:
//! keep it in bf16 or f32.
//!
//! Gradients of an f16 network lie near 0, where f16 is coarse below 6.1e-5 and ends at 6e-8: [`LossScaling::Dynamic`]
//! multiplies the loss by as much as the largest gradient allows. Steps whose gradients are not finite change no weight.

mod assembly;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod checkpoint;
mod init;
mod memory;
mod network;
mod optimizer;
mod options;
mod parameter;
mod records;
mod task;
mod trainer;

pub use init::{Init, Scheme};
pub use memory::Memory;
pub use network::NetworkSpec;
pub use optimizer::{Decay, LossScaling, Optimizer, Schedule};
pub use options::TrainerOptions;
pub use records::{Evaluation, Record};
pub use task::{Regression, Task, Text};
pub use trainer::Trainer;
