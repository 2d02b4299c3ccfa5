//! ffwd
#![warn(missing_docs)]
pub mod activation;
pub mod custom;
pub mod element;
pub mod error;
pub mod gate;
pub mod gpu;
pub mod names;
pub mod ops;
pub mod oracle;
pub mod shader;
pub mod weights;

pub use activation::Activation;
pub use custom::{Custom, CustomError};
pub use element::Element;
pub use error::Error;
pub use gate::{Gate, Layout};
pub use gpu::Gpu;
pub use wgpu;
