//! One file per kernel family. A method that takes tensors checks them and returns a [`Plan`](crate::gpu::Plan):
//! pipelines compiled, bind groups made. Recording the plan is all that is left to do.

mod activate;
mod checks;
mod elementwise;
mod gated;
mod linear;
mod reduce;

pub use activate::{Activate, Backward, Forward};
pub use gated::{GateGrads, GateInput, Gated, GatedBackward, GatedForward};
pub use linear::{Linear, LinearArgs, Weights};

pub(crate) use elementwise::Params as ElementwiseParams;
#[cfg(test)]
pub(crate) use {
    linear::Params as MatmulParams,
    reduce::{PartialsParams, SumsParams},
};
