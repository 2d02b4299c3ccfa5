//! How long a plan takes: by timestamps where they work, by the wall clock where not.

use web_time::Instant;

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

impl Clock {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timestamps => "timestamps",
            Self::Wall => "wall",
        }
    }
}

/// Seconds in which a device that was idle finds its speed.
pub const WARM_UP: f64 = 0.01;

/// Seconds beside which the steps of a browser's clocks, up to 0.1 ms, are small.
pub const COARSE: f64 = 0.02;

/// How often a plan is run: until both `fewest` runs and `seconds` are spent, or `most` runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Runs that there are in any case; at least 1.
    pub fewest: usize,
    /// Runs that are enough.
    pub most: usize,
    /// Seconds of the wall clock that are enough.
    pub seconds: f64,
}

/// Seconds of each of `repetitions` runs of `plan`, sorted, and which clock measured; see [`Timer::time`].
///
/// # Errors
/// [`Error::Gpu`] where the device is lost.
#[cfg(not(target_arch = "wasm32"))]
pub fn time(gpu: &Gpu, plan: &Plan, repetitions: usize) -> Result<(Vec<f64>, Clock), Error> {
    let mut timer = Timer::new(gpu)?;
    let seconds = timer.time(plan, Effort { fewest: repetitions, most: repetitions, seconds: 0.0 })?;
    Ok((seconds, timer.clock()))
}

/// A clock for many plans.
#[derive(Debug)]
pub struct Timer {
    gpu: Gpu,
    stamps: Option<Stamps>,
}

/// Where a pass leaves its timestamps.
#[derive(Debug)]
struct Stamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl Timer {
    /// Timestamps where the device has them and is none of software, whose timestamps are the wall clock's, taken at odd
    /// moments.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(gpu: &Gpu) -> Result<Self, Error> {
        let stamped = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) && !gpu.is_software();
        Ok(Self { gpu: gpu.clone(), stamps: stamped.then(|| Stamps::new(gpu)).transpose()? })
    }

    /// What measures; the wall clock from the first plan on whose timestamps were all zero.
    pub fn clock(&self) -> Clock {
        if self.stamps.is_some() { Clock::Timestamps } else { Clock::Wall }
    }

    /// The device that is timed.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Seconds of each run of `plan`, sorted. What is run in the first [`WARM_UP`] seconds, once at least, is not counted.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn time(&mut self, plan: &Plan, effort: Effort) -> Result<Vec<f64>, Error> {
        super::wait::block_on(self.time_async(plan, effort))
    }

    /// The same where a thread must not block. A browser's clocks are coarse: there, a run is as many runs in a row as
    /// take [`COARSE`] seconds, and their mean counts.
    ///
    /// # Errors
    /// As [`Timer::time`].
    pub async fn time_async(&mut self, plan: &Plan, effort: Effort) -> Result<Vec<f64>, Error> {
        let (start, mut last) = (Instant::now(), 0.0);
        while start.elapsed().as_secs_f64() < WARM_UP || last == 0.0 {
            last = self.wall(plan, 1).await?;
        }
        let times = if cfg!(target_arch = "wasm32") { (COARSE / last).clamp(1.0, 1024.0) as usize } else { 1 };
        if let Some(stamps) = &self.stamps {
            let seconds = effort.runs(async || stamps.run(&self.gpu, plan, times).await).await?;
            // Some drivers answer with zeros.
            if seconds.iter().all(|s| *s > 0.0) {
                return Ok(seconds);
            }
            self.stamps = None;
        }
        effort.runs(async || self.wall(plan, times).await).await
    }

    /// Mean seconds of so many runs, from the first submission to the end of the last.
    async fn wall(&self, plan: &Plan, times: usize) -> Result<f64, Error> {
        let start = Instant::now();
        for _ in 0..times {
            plan.submit(&self.gpu);
        }
        self.gpu.wait_async().await?;
        Ok(start.elapsed().as_secs_f64() / times as f64)
    }
}

impl Effort {
    async fn runs(self, mut run: impl AsyncFnMut() -> Result<f64, Error>) -> Result<Vec<f64>, Error> {
        let (start, mut seconds) = (Instant::now(), Vec::new());
        while seconds.len() < self.fewest.max(1) || (seconds.len() < self.most && start.elapsed().as_secs_f64() < self.seconds) {
            seconds.push(run().await?);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds)
    }
}

impl Stamps {
    fn new(gpu: &Gpu) -> Result<Self, Error> {
        let descriptor = wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: wgpu::QueryType::Timestamp, count: 2 };
        Ok(Self {
            queries: gpu.device().create_query_set(&descriptor),
            resolved: gpu.buffer("timestamps", 16, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC)?,
            staging: gpu.buffer("timestamps", 16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?,
        })
    }

    async fn run(&self, gpu: &Gpu, plan: &Plan, times: usize) -> Result<f64, Error> {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let timestamp_writes = wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        };
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(timestamp_writes) };
        {
            let mut pass = encoder.begin_compute_pass(&descriptor);
            (0..times).for_each(|_| plan.record_in(&mut pass));
        }
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 16);
        gpu.queue().submit([encoder.finish()]);
        gpu.map(&self.staging, "reading timestamps").await?;
        let ticks: [u64; 2] = {
            let mapped = self.staging.get_mapped_range(..).map_err(|error| gpu_error("reading timestamps", &error))?;
            let ticks: &[u64] = bytemuck::cast_slice(&mapped);
            [ticks[0], ticks[1]]
        };
        self.staging.unmap();
        // Backwards or equal means that they do not work here.
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9 / times as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_bounds_the_runs_from_both_sides() {
        let count = |fewest, most, seconds| {
            let mut next = 5.0;
            let runs = Effort { fewest, most, seconds }.runs(async || {
                next -= 1.0;
                Ok(next)
            });
            crate::gpu::block_on(runs).unwrap()
        };
        assert_eq!(count(3, 100, 0.0), [2.0, 3.0, 4.0]);
        assert_eq!(count(1, 4, f64::INFINITY), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(count(0, 0, 0.0).len(), 1);
    }
}
