//! How long a plan takes: by timestamps where they work, by the wall clock where not.

use std::time::Instant;

use super::device::{Gpu, gpu_error};
use super::plan::Plan;
use crate::error::Error;

/// What measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Timestamps around the pass.
    Timestamps,
    /// Time from submission to completion.
    Wall,
}

/// Seconds of each of `repetitions` runs of `plan`, sorted, and which clock measured. One run before them is not counted.
///
/// # Errors
/// [`Error::Gpu`] where the device is lost.
pub fn time(gpu: &Gpu, plan: &Plan, repetitions: usize) -> Result<(Vec<f64>, Clock), Error> {
    plan.submit(gpu);
    gpu.wait()?;
    // A software adapter's timestamps are the wall clock's, taken at odd moments.
    if gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) && !gpu.is_software() {
        let mut seconds = Vec::with_capacity(repetitions);
        for _ in 0..repetitions {
            seconds.push(timestamped(gpu, plan)?);
        }
        // Some drivers answer with zeros.
        if seconds.iter().all(|s| *s > 0.0) {
            seconds.sort_by(f64::total_cmp);
            return Ok((seconds, Clock::Timestamps));
        }
    }
    let mut seconds = Vec::with_capacity(repetitions);
    for _ in 0..repetitions {
        let start = Instant::now();
        plan.submit(gpu);
        gpu.wait()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok((seconds, Clock::Wall))
}

fn timestamped(gpu: &Gpu, plan: &Plan) -> Result<f64, Error> {
    let device = gpu.device();
    let query_set = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 });
    let resolved = gpu.buffer("timestamps", 16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC)?;
    let staging = gpu.buffer("timestamps", 16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let timestamp_writes = wgpu::ComputePassTimestampWrites {
        query_set: &query_set,
        beginning_of_pass_write_index: Some(0),
        end_of_pass_write_index: Some(1),
    };
    plan.record_in(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(timestamp_writes) }));
    encoder.resolve_query_set(&query_set, 0..2, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, 16);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    gpu.wait()?;
    let mapped = staging.get_mapped_range(..).map_err(|error| gpu_error("reading timestamps", &error))?;
    let ticks: &[u64] = bytemuck::cast_slice(&mapped);
    // Backwards or equal means that they do not work here.
    Ok(ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9)
}
