//! Quantised weights: the formats that files hold, the numbers they stand for, and how they lie in GPU memory.

mod block;
mod int4;
mod packing;
mod quantise;

pub use block::{Block, Unpacked};
pub use int4::Int4;
pub use packing::{Packing, WeightKind};
pub(crate) use packing::{pack_blocks, pack_int4};
pub use quantise::QuantiseError;
