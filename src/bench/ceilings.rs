//! What an adapter can do, measured: the ceilings that speeds are judged by.

use bytemuck::{Pod, Zeroable};
use web_time::Instant;

use super::noise::Noise;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Clock, Effort, Gpu, Grid, Plan, PlanBuilder, Tensor, Timer};
use crate::ops::ElementwiseParams;
use crate::shader::ceilings::{self, Chains};
use crate::shader::elementwise::{STEPS, WORKGROUP};
use crate::shader::operand::Lanes;

/// Every ceiling of an adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceilings {
    /// Bytes that a kernel copies in a second, read and written.
    pub copy_bytes: f64,
    /// f32 operations in a second; a multiply-add is two.
    pub f32_flops: f64,
    /// The kernel that showed them.
    pub f32_kernel: String,
    /// Operations in a second of cooperative matrices: f16 operands, f32 accumulators. `None` where there are none.
    pub cooperative_flops: Option<f64>,
    /// Seconds that one more dispatch takes in a pass. `None` where they are lost in the noise.
    pub dispatch_seconds: Option<f64>,
    /// Bytes in a second from the host to a buffer.
    pub upload_bytes: f64,
    /// Bytes in a second from a buffer to the host.
    pub download_bytes: f64,
}

/// Speed of the plainest kernel there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Copy {
    /// Bytes read and written in a second.
    pub bytes_per_second: f64,
    /// What measured.
    pub clock: Clock,
}

/// Runs of a measurement. The fastest counts: a ceiling is what an adapter can do when nothing else wants it.
const EFFORT: Effort = Effort { fewest: 9, most: 101, seconds: 0.3 };

/// Bytes that are moved between host and device.
const TRANSFER: usize = 64 << 20;

/// Dispatches beside the first one.
const DISPATCHES: usize = 256;

impl Ceilings {
    /// Measures all of them.
    ///
    /// # Errors
    /// Whatever the device refuses; [`Error::Gpu`] where a result is wrong.
    pub async fn measure(timer: &mut Timer) -> Result<Self, Error> {
        // Beyond every cache.
        let elements = if timer.gpu().is_software() { 1 << 24 } else { 1 << 26 };
        let copy_bytes = copy(timer, elements).await?;
        let (f32_flops, f32_kernel) = f32_rate(timer).await?;
        let cooperative_flops = cooperative_rate(timer).await?;
        let dispatch_seconds = dispatch(timer).await?;
        let (upload_bytes, download_bytes) = transfers(timer.gpu()).await?;
        Ok(Self { copy_bytes, f32_flops, f32_kernel, cooperative_flops, dispatch_seconds, upload_bytes, download_bytes })
    }
}

/// Speed at which `elements` f32 are copied by a kernel, checked before it is timed.
///
/// # Errors
/// Whatever the device refuses; [`Error::Gpu`] where the copy is wrong.
pub async fn copy_bandwidth(gpu: &Gpu, elements: usize) -> Result<Copy, Error> {
    let mut timer = Timer::new(gpu)?;
    Ok(Copy { bytes_per_second: copy(&mut timer, elements).await?, clock: timer.clock() })
}

async fn copy(timer: &mut Timer, elements: usize) -> Result<f64, Error> {
    let gpu = timer.gpu().clone();
    let most = gpu.limits().max_storage_buffer_binding_size.min(gpu.limits().max_buffer_size) / Element::F32.size();
    let elements = elements.clamp(4, usize::try_from(most).unwrap_or(usize::MAX)) / 4 * 4;
    let (src, dst) = (Noise::new(5, Element::F32).tensor(&gpu, &[elements])?, gpu.zeros(&[elements], Element::F32)?);
    let plan = copy_plan(&gpu, &src, &dst, 1)?;
    plan.submit(&gpu);
    if gpu.read_bytes_async(&dst).await? != gpu.read_bytes_async(&src).await? {
        return wrong("copying", "the copy differs from its source");
    }
    Ok(8.0 * elements as f64 / timer.time_async(&plan, EFFORT).await?[0])
}

fn copy_plan(gpu: &Gpu, src: &Tensor, dst: &Tensor, times: usize) -> Result<Plan, Error> {
    let vectors = (src.len() / 4) as u32;
    let mut builder = PlanBuilder::new(gpu);
    let params = ElementwiseParams { count: vectors, ..Zeroable::zeroed() };
    for _ in 0..times {
        let bounds = [src, dst].map(|tensor| Bound::whole(gpu, tensor, Lanes::Four).0).to_vec();
        builder.push(&ceilings::copy(), bytemuck::bytes_of(&params), bounds, u64::from(vectors).div_ceil(WORKGROUP * STEPS))?;
    }
    builder.finish()
}

/// The uniform block of shaders/bench/fma.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct FmaParams {
    pub turns: u32,
    pub factor: f32,
    pub term: f32,
    pub padding: u32,
}

/// Turns of the first run.
const TURNS: u32 = 16;

/// Seconds that one run should take.
const RUN: f64 = 0.03;

/// The highest rate of f32 multiply-adds among all shapes of the kernel, in operations a second, and that kernel's name.
///
/// # Errors
/// As [`Ceilings::measure`].
pub async fn f32_rate(timer: &mut Timer) -> Result<(f64, String), Error> {
    let mut best = (0.0, String::new());
    for chains in Chains::ALL {
        let rate = chains_rate(timer, chains).await?;
        if rate > best.0 {
            best = (rate, chains.kernel().name);
        }
    }
    Ok(best)
}

/// Operations a second of one shape; its sums are checked before it is timed.
///
/// # Errors
/// As [`Ceilings::measure`].
pub async fn chains_rate(timer: &mut Timer, chains: Chains) -> Result<f64, Error> {
    let gpu = timer.gpu().clone();
    let invocations: usize = if gpu.is_software() { 1 << 14 } else { 1 << 20 };
    let flops = |turns: u32| 2.0 * f64::from(chains.lanes() * chains.steps) * f64::from(turns) * invocations as f64;
    let sums = gpu.zeros(&[invocations], Element::F32)?;
    let (mut turns, most) = (TURNS, chains.most_turns());
    loop {
        let mut builder = PlanBuilder::new(&gpu);
        let params = FmaParams { turns, factor: 1.0, term: 1.0, padding: 0 };
        let bounds = vec![Bound::whole(&gpu, &sums, Lanes::One).0];
        builder.push(&chains.kernel(), bytemuck::bytes_of(&params), bounds, invocations as u64 / u64::from(Chains::WORKGROUP))?;
        let plan = builder.finish()?;
        plan.submit(&gpu);
        let right = |(start, sum): (usize, &f32)| *sum == chains.sum(start as u32 % 64, turns) as f32;
        if !gpu.read_back_async(&sums).await?.iter().enumerate().all(right) {
            return wrong("multiplying and adding", "a sum is wrong");
        }
        let seconds = timer.time_async(&plan, Effort { fewest: 1, most: 1, seconds: 0.0 }).await?[0];
        if seconds >= RUN / 2.0 || turns == most {
            return Ok(flops(turns) / timer.time_async(&plan, EFFORT).await?[0]);
        }
        // Slower adapters than any are not asked for more than sixteen times as much at once.
        turns = (f64::from(turns) * (RUN / seconds).clamp(1.5, 16.0)).min(f64::from(most)) as u32;
    }
}

/// Operations a second of cooperative matrices (f16 operands, f32 accumulators); `None` where the device has none.
///
/// # Errors
/// As [`Ceilings::measure`].
pub async fn cooperative_rate(timer: &mut Timer) -> Result<Option<f64>, Error> {
    let gpu = timer.gpu().clone();
    let Some(matrices) = gpu.capabilities().cooperative else { return Ok(None) };
    let tile = matrices.tile;
    let chains = u64::from(ceilings::COOPERATIVE_CHAINS);
    let workgroups: u64 = if gpu.is_software() { 64 } else { 4096 };
    let sums = gpu.zeros(&[(workgroups * chains * u64::from(tile * tile)) as usize], Element::F32)?;
    let kernel = ceilings::cooperative_rate(matrices);
    let plan = |turns: u32| {
        let mut builder = PlanBuilder::new(&gpu);
        let params = FmaParams { turns, factor: 1.0, term: 1.0, padding: 0 };
        builder.push_grid(
            &kernel,
            bytemuck::bytes_of(&params),
            vec![Bound::whole(&gpu, &sums, Lanes::One).0],
            Grid::Fixed([workgroups as u32, 1, 1]),
        )?;
        builder.finish()
    };
    // Every sum is a whole number below 2^24, so that f32 is exact.
    let mut turns = 16;
    loop {
        let short = plan(turns)?;
        let seconds = timer.time_async(&short, Effort { fewest: 1, most: 1, seconds: 0.0 }).await?[0];
        gpu.clear(&sums);
        short.submit(&gpu);
        if gpu.read_back_async(&sums).await?.iter().any(|sum| *sum != (turns * tile) as f32) {
            return wrong("multiplying cooperative matrices", "a sum is wrong");
        }
        if seconds >= RUN / 2.0 || turns >= 1 << 18 {
            let flops = 2.0 * f64::from(tile).powi(3) * f64::from(turns) * (chains * workgroups) as f64;
            return Ok(Some(flops / timer.time_async(&short, EFFORT).await?[0]));
        }
        turns *= 4;
    }
}

/// Seconds of one more dispatch in a pass, each of which depends on the one before.
async fn dispatch(timer: &mut Timer) -> Result<Option<f64>, Error> {
    let gpu = timer.gpu().clone();
    let (src, dst) = (gpu.zeros(&[4], Element::F32)?, gpu.zeros(&[4], Element::F32)?);
    let mut seconds = async |times| Ok::<_, Error>(timer.time_async(&copy_plan(&gpu, &src, &dst, times)?, EFFORT).await?[0]);
    let each = (seconds(1 + DISPATCHES).await? - seconds(1).await?) / DISPATCHES as f64;
    Ok((each > 0.0).then_some(each))
}

/// Bytes a second up and down, by the wall clock; what comes back is checked.
async fn transfers(gpu: &Gpu) -> Result<(f64, f64), Error> {
    let bytes: Vec<u8> = (0..TRANSFER).map(|i| (i % 251) as u8).collect();
    let tensor = gpu.zeros(&[TRANSFER / 4], Element::F32)?;
    let (mut up, mut down) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..EFFORT.fewest {
        let start = Instant::now();
        gpu.queue().write_buffer(tensor.buffer(), 0, &bytes);
        gpu.queue().submit([]);
        gpu.wait_async().await?;
        up = up.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let back = gpu.read_bytes_async(&tensor).await?;
        down = down.min(start.elapsed().as_secs_f64());
        if back != bytes {
            return wrong("moving bytes", "what came back is not what went there");
        }
    }
    Ok((TRANSFER as f64 / up, TRANSFER as f64 / down))
}

fn wrong<T>(what: &str, reason: &str) -> Result<T, Error> {
    Err(Error::Gpu { what: what.into(), reason: reason.into() })
}
