//! Quantised weights: the formats that files hold, and the numbers they stand for.

mod block;
mod int4;

pub use block::{Block, Unpacked};
pub use int4::Int4;
