//! Adapters, devices, tensors, and kernels as pipelines and dispatches.

mod adapters;
mod device;
mod plan;
mod quantised;
mod tensor;
mod timing;

pub use adapters::{Choice, Selection, capabilities, describe, is_software, list, matrices};
pub use device::Gpu;
pub use plan::Plan;
pub(crate) use plan::{Bound, Grid, PlanBuilder, touched};
pub use quantised::{Matrix, Quantised, Weight};
pub use tensor::Tensor;
pub use timing::{Clock, Effort, Timer, WARM_UP, time};
