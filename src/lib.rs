//! Activations and feed-forward networks as compute kernels, on any GPU that [`wgpu`] reaches.
//!
//! Every activation from sigmoid to xIELU and every gate from GLU to SwiGLU, forward and backward, and the
//! feed-forward layers built from them. Kernels are plain WGSL; they need no optional feature, keep f16 and
//! bf16 packed in `u32`, compute in f32, and hold a written [accuracy contract](accuracy).
//!
//! Three layers of interface, each thin over the next:
//!
//! - [`ops`] and [`nn`]: make a [`gpu::Plan`] from tensors on *your* device and record it into *your* encoder.
//!   Recording never submits, waits, maps or allocates.
//! - [`gpu::Tensor`] and [`gpu::Plan::submit`]: tensors in, tensors out.
//! - [`activate`], [`gate`](slices::gate): slices in, vectors out.
//!
//! ```no_run
//! use ffwd::{Activation, Gpu, activate};
//!
//! let gpu = Gpu::open(&Default::default())?;
//! let y = activate(&gpu, Activation::Silu, &[-2.0, 0.0, 2.0])?;
//! # Ok::<(), ffwd::Error>(())
//! ```
//!
//! One feature, `cli`, on by default: the command line. Nothing of the library depends on it.
//!
//! Names: [`Activation::parse`] takes PyTorch's, Hugging Face's and the literature's. Rooms and their rules are
//! drawn in ARCHITECTURE.md.
#![warn(missing_docs)]
#![deny(unsafe_code)]

/// This crate's version, as reports carry it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub mod accuracy;
pub mod activation;
pub mod bench;
pub mod custom;
mod date;
pub mod element;
pub mod error;
pub mod gate;
pub mod gpu;
pub mod names;
pub mod nn;
pub mod ops;
pub mod oracle;
pub mod quantised;
pub mod report;
pub mod routing;
pub mod shader;
pub mod sizing;
pub mod slices;
pub mod train;
pub mod tuning;
pub mod verify;
pub mod weights;

pub use activation::Activation;
pub use custom::{Custom, CustomError};
pub use element::Element;
pub use error::Error;
pub use gate::{Gate, Layout};
pub use gpu::{Gpu, Plan, Tensor};
pub use nn::FeedForward;
#[cfg(not(target_arch = "wasm32"))]
pub use slices::{activate, activate_backward};
pub use slices::{activate_async, activate_backward_async};
pub use wgpu;

/// The Rust in the guide, compiled and run as examples are.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/guide/07-migrating.md")]
    struct Migrating;
    #[doc = include_str!("../docs/guide/08-custom.md")]
    struct Custom;
}
