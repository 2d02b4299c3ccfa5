//! Weights from files: safetensors, GGUF and Hugging Face directories, as tensors in host memory.
//!
//! A file's header is read and checked when it is opened, a tensor's bytes when it is asked for, so one layer of a large
//! model costs one layer of memory. Files are not trusted: counts, lengths and offsets are held against the file's size
//! before anything is allocated, and what cannot be read exactly is an error that names it, never a guess. Half precision
//! stays half precision and quantised weights stay quantised, unless they are asked for as plain numbers.
//!
//! ```no_run
//! let model = ffwd::weights::Model::open("llama.gguf")?;
//! println!("{:?}: {} layers", model.architecture(), model.layers().len());
//! let weights = model.feed_forward(0)?;
//! println!("{} -> {}", weights.d_model(), weights.d_ff());
//! # Ok::<(), ffwd::weights::WeightsError>(())
//! ```

mod config;
pub mod convert;
mod error;
mod feed_forward;
mod gguf;
mod host;
mod int4;
mod layer;
mod map;
mod mixture;
mod model;
mod mxfp4;
mod network;
mod open;
mod rearrange;
mod safetensors;
mod schemes;
mod source;
mod stored;
mod tensors;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod whole_file;

pub use error::{Difference, Result, ShapeMismatch, WeightsError};
pub use feed_forward::{FeedForwardWeights, Operand};
pub use gguf::{Gguf, GgufWriter, TensorSink, Value, read_gguf};
pub use host::{HostData, HostTensor, HostWeight};
pub use layer::{LayerFacts, LayerWeights, MixtureFacts};
pub use mixture::MixtureWeights;
pub use model::{Model, Progress, load_feed_forward};
pub use safetensors::{read_safetensors, write_safetensors, write_safetensors_with};
pub use tensors::{Encoding, Tensors};
pub use whole_file::WholeFile;

pub use crate::quantised::{Block, Int4};
