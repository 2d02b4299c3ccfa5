//! Adapters, devices, tensors, and kernels as pipelines and dispatches.

mod adapters;
mod device;
mod plan;
mod quantised;
mod tensor;
mod timing;
mod wait;

#[cfg(not(target_arch = "wasm32"))]
pub use adapters::list;
pub use adapters::{Choice, Selection, capabilities, describe, is_software, list_async, matrices};
pub use device::Gpu;
pub use plan::Plan;
pub(crate) use plan::{Bound, Grid, PlanBuilder, touched};
pub use quantised::{Matrix, Quantised, Weight};
pub use tensor::Tensor;
#[cfg(not(target_arch = "wasm32"))]
pub use timing::time;
pub use timing::{COARSE, Clock, Effort, Timer, WARM_UP};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use wait::block_on;
