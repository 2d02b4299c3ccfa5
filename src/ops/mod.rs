//! One file per kernel family. A method that takes tensors checks them and returns a [`Plan`](crate::gpu::Plan):
//! pipelines compiled, bind groups made. Recording the plan is all that is left to do.

mod activate;
mod checks;
mod dropout;
mod elementwise;
pub(crate) mod experts;
mod gated;
mod linear;
pub(crate) mod mixture;
pub(crate) mod product;
mod reduce;
pub(crate) mod steps;
mod tuner;

pub use activate::{Activate, Backward, Forward};
pub use dropout::{Counter, Dropout};
pub use gated::{GateGrads, GateInput, Gated, GatedBackward, GatedForward};
pub use linear::{Linear, LinearArgs, Weights};
pub use tuner::{Tuned, measure_async, tune_async};
#[cfg(not(target_arch = "wasm32"))]
pub use tuner::{measure, tune};

pub(crate) use checks::below_one;
pub(crate) use elementwise::Params as ElementwiseParams;
#[cfg(test)]
pub(crate) use {
    product::Params as MatmulParams,
    reduce::{PartialsParams, SumsParams},
};
