//! What an adapter can do, measured: the ceilings that speeds are judged by.

use crate::accuracy::Random;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Clock, Gpu, Plan, PlanBuilder, Tensor, time};
use crate::ops::ElementwiseParams;
use crate::shader::ceilings;
use crate::shader::elementwise::{STEPS, WORKGROUP};
use crate::shader::operand::Lanes;

/// Speed of the plainest kernel there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Copy {
    /// Bytes read and written in a second.
    pub bytes_per_second: f64,
    /// What measured.
    pub clock: Clock,
}

/// Runs of a measurement; the median counts.
const REPETITIONS: usize = 9;

/// Speed at which `elements` f32 are copied by a kernel, checked before it is timed.
///
/// # Errors
/// Whatever the device refuses; [`Error::Gpu`] where the copy is wrong.
pub fn copy_bandwidth(gpu: &Gpu, elements: usize) -> Result<Copy, Error> {
    let most = gpu.limits().max_storage_buffer_binding_size / Element::F32.size();
    let elements = elements.clamp(4, usize::try_from(most).unwrap_or(usize::MAX)) / 4 * 4;
    let mut random = Random::new(5);
    let data: Vec<f32> = (0..elements).map(|_| random.uniform(-8.0, 8.0)).collect();
    let (src, dst) = (gpu.tensor(&data, &[elements], Element::F32)?, gpu.zeros(&[elements], Element::F32)?);
    let plan = copy_plan(gpu, &src, &dst)?;
    plan.submit(gpu);
    if gpu.read_back(&dst)? != data {
        return Err(Error::Gpu { what: "copying".into(), reason: "the copy differs from its source".into() });
    }
    let (seconds, clock) = time(gpu, &plan, REPETITIONS)?;
    Ok(Copy { bytes_per_second: 8.0 * elements as f64 / seconds[seconds.len() / 2], clock })
}

fn copy_plan(gpu: &Gpu, src: &Tensor, dst: &Tensor) -> Result<Plan, Error> {
    let vectors = (src.len() / 4) as u32;
    let mut builder = PlanBuilder::new(gpu);
    let bounds = [src, dst].map(|tensor| Bound::whole(gpu, tensor, Lanes::Four).0).to_vec();
    let params = ElementwiseParams { count: vectors, ..bytemuck::Zeroable::zeroed() };
    builder.push(&ceilings::copy(), bytemuck::bytes_of(&params), bounds, u64::from(vectors).div_ceil(WORKGROUP * STEPS))?;
    builder.finish()
}
