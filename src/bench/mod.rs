//! Speeds, beside what the adapter can do: its ceilings are measured first, then [`workloads`], each of which is checked
//! against the oracle before it is timed.
//!
//! [`Report::to_json`] writes `ffwd-bench/1`:
//!
//! | key | value |
//! | --- | --- |
//! | `schema`, `version`, `date`, `quick` | `"ffwd-bench/1"`, the crate's version, when the run began (RFC 3339, UTC), whether it was the short list |
//! | `adapter`, `backend`, `device_type`, `driver`, `driver_info` | what wgpu says, backend and type in lower case with `_` |
//! | `software` | whether the adapter computes on the CPU |
//! | `features`, `limits` | of the device that was opened |
//! | `host` | `os`, `arch`, `threads` |
//! | `clock` | `"timestamps"` around the pass, or `"wall"`: from submission to completion |
//! | `ceilings` | see below |
//! | `workloads` | see below |
//! | `skipped` | a list of `name` and `reason`: too large, too slow, or wrong |
//!
//! `ceilings`, `null` where the adapter cannot do it:
//!
//! | key | value |
//! | --- | --- |
//! | `copy_bytes_per_second` | read and written by a kernel, beyond the caches |
//! | `f32_flops_per_second` | multiply-adds in registers, each counted as 2 |
//! | `f32_kernel` | the shape of the kernel that showed them |
//! | `cooperative_flops_per_second` | cooperative matrices, f16 operands and f32 accumulators |
//! | `dispatch_seconds` | one more dispatch in a pass, that depends on the one before |
//! | `upload_bytes_per_second`, `download_bytes_per_second` | between host and device, by the wall clock |
//!
//! Each of `workloads`:
//!
//! | key | value |
//! | --- | --- |
//! | `group` | `elementwise`, `gate`, `product`, `decode`, `prefill` or `dense` |
//! | `name` | unique: what, on what, in which kind |
//! | `shape` | `elements`; or `rows`, `cols`, `depth`; or `tokens`, `d_model`, `d_ff` |
//! | `element` | kind of weights, inputs and outputs; hidden is f32 |
//! | `kernels` | name of each dispatch |
//! | `flops`, `bytes` | of the mathematics: [`Task::flops`], and each operand once |
//! | `worst_error` | largest error as a share of what is allowed; at most 1 |
//! | `seconds` | `median`, `min`, `p10`, `p90`, and how many `runs` |
//! | `gflops`, `gbytes` | 10^9 a second, from the median |
//! | `share`, `bound` | the roof's time as a share of the median; whether `compute` or `memory` makes the roof. Above 1 where operands stay in a cache |

mod ceilings;
mod date;
mod json;
mod noise;
mod prepared;
mod workloads;

#[cfg(test)]
pub(crate) use ceilings::FmaParams;
pub use ceilings::{Ceilings, Copy, chains_rate, cooperative_rate, copy_bandwidth, f32_rate};
pub use noise::Noise;
pub use prepared::Prepared;
pub use workloads::{Group, Task, Workload, workloads};

use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Clock, Effort, Gpu, Timer};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Few runs of each.
    pub quick: bool,
    /// Workloads that are expected to take longer than this, in all, are skipped.
    pub max_seconds: f64,
}

/// Measures workloads on one adapter.
#[derive(Debug)]
pub struct Bench {
    timer: Timer,
    options: Options,
    report: Report,
}

/// What was measured, and on what.
#[derive(Debug, Clone)]
pub struct Report {
    /// When the run began: RFC 3339, UTC.
    pub date: String,
    /// Whether it was a short run.
    pub quick: bool,
    /// The adapter.
    pub adapter: wgpu::AdapterInfo,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Features of the device.
    pub features: wgpu::Features,
    /// Limits of the device.
    pub limits: wgpu::Limits,
    /// What measured.
    pub clock: Clock,
    /// What the adapter can do.
    pub ceilings: Ceilings,
    /// What was measured, in the order in which it was.
    pub workloads: Vec<Measurement>,
    /// What was not.
    pub skipped: Vec<Skipped>,
}

/// A workload's speed.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The workload.
    pub workload: Workload,
    /// Names of its dispatches.
    pub kernels: Vec<String>,
    /// Largest error as a share of what is allowed; at most 1.
    pub worst_error: f64,
    /// Seconds of each run, sorted; at least one.
    pub seconds: Vec<f64>,
    /// The fastest that the ceilings allow.
    pub roof: Roof,
}

/// A workload that was not timed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Whether the reason is a wrong result.
    pub wrong: bool,
}

/// The fastest that the ceilings allow (the roofline model: Williams, Waterman and Patterson 2009).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roof {
    /// Seconds.
    pub seconds: f64,
    /// Whether memory takes them, and not arithmetic.
    pub memory: bool,
}

/// Runs of a workload, fewest and most, and its seconds.
const FULL: Effort = Effort { fewest: 3, most: 51, seconds: 1.0 };
const QUICK: Effort = Effort { fewest: 3, most: 15, seconds: 0.3 };

/// The share of the roof that a workload is expected to reach at least.
const EXPECTED_SHARE: f64 = 0.25;

impl Ceilings {
    /// The roof over a workload. Products of f16 are held to the cooperative rate where there is one.
    pub fn roof(&self, workload: &Workload) -> Roof {
        let cooperative = self.cooperative_flops.filter(|_| workload.multiplies() && workload.element == Element::F16);
        let rate = cooperative.map_or(self.f32_flops, |rate| rate.max(self.f32_flops));
        let (compute, memory) = (workload.flops() / rate, workload.bytes() / self.copy_bytes);
        Roof { seconds: compute.max(memory), memory: memory >= compute }
    }
}

impl Bench {
    /// Measures the ceilings.
    ///
    /// # Errors
    /// Whatever the device refuses; [`Error::Gpu`] where a result is wrong.
    pub fn start(gpu: &Gpu, options: Options) -> Result<Self, Error> {
        let date = date::now();
        let mut timer = Timer::new(gpu)?;
        let ceilings = Ceilings::measure(&mut timer)?;
        let report = Report {
            date,
            quick: options.quick,
            adapter: gpu.info().clone(),
            software: gpu.is_software(),
            features: gpu.device().features(),
            limits: gpu.limits().clone(),
            clock: timer.clock(),
            ceilings,
            workloads: Vec::new(),
            skipped: Vec::new(),
        };
        Ok(Self { timer, options, report })
    }

    /// Checks and times a workload, or says why not.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost, and what is wrong with the operands: a bug here.
    pub fn measure(&mut self, workload: Workload) -> Result<(), Error> {
        let roof = self.report.ceilings.roof(&workload);
        let outcome = match self.refusal(&workload, roof) {
            Some(reason) => Err((reason, false)),
            None => match self.time(&workload) {
                Ok(Ok((kernels, worst_error, seconds))) => Ok((kernels, worst_error, seconds)),
                Ok(Err(share)) => Err((format!("wrong: its error is {share:.3e} of what is allowed"), true)),
                Err(error @ (Error::Limit { .. } | Error::OutOfMemory { .. })) => Err((error.to_string(), false)),
                Err(error) => return Err(error),
            },
        };
        match outcome {
            Ok((kernels, worst_error, seconds)) => {
                self.report.workloads.push(Measurement { workload, kernels, worst_error, seconds, roof });
            }
            Err((reason, wrong)) => self.report.skipped.push(Skipped { name: workload.name, reason, wrong }),
        }
        // What was dropped is freed before the next one comes.
        self.timer.gpu().wait()
    }

    /// The names of the dispatches, the worst error, and the seconds; or the error that is too large.
    #[allow(clippy::type_complexity, reason = "one private helper")]
    fn time(&mut self, workload: &Workload) -> Result<Result<(Vec<String>, f64, Vec<f64>), f64>, Error> {
        let prepared = workload.prepare(self.timer.gpu())?;
        let worst_error = prepared.check(self.timer.gpu())?;
        if worst_error > 1.0 {
            return Ok(Err(worst_error));
        }
        let effort = if self.options.quick { QUICK } else { FULL };
        let seconds = self.timer.time(prepared.plan(), effort)?;
        Ok(Ok((prepared.plan().kernels().map(str::to_owned).collect(), worst_error, seconds)))
    }

    /// Why it is not even tried.
    fn refusal(&self, workload: &Workload, roof: Roof) -> Option<String> {
        let limits = &self.report.limits;
        let bytes = workload.element.size() as f64 * workload.task.tensors().0;
        if bytes > limits.max_buffer_size as f64 {
            return Some(format!("needs a buffer of {}, the adapter allows {}", size(bytes), size(limits.max_buffer_size as f64)));
        }
        // The run that is checked, the one that is not counted, and the fewest that are.
        let runs = 2 + FULL.fewest;
        let seconds = roof.seconds * runs as f64 / EXPECTED_SHARE;
        let most = self.options.max_seconds;
        (seconds > most).then(|| format!("{runs} runs would take {seconds:.2e} s at a quarter of the roof, {most} s are allowed"))
    }

    /// What has been measured.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What was measured.
    pub fn finish(self) -> Report {
        Report { clock: self.timer.clock(), ..self.report }
    }
}

impl Measurement {
    /// Seconds of the run in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Seconds that this share of the runs took less than.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.seconds, share)
    }

    /// 10^9 operations a second.
    pub fn gflops(&self) -> f64 {
        self.workload.flops() / self.median() / 1e9
    }

    /// 10^9 bytes a second.
    pub fn gbytes(&self) -> f64 {
        self.workload.bytes() / self.median() / 1e9
    }

    /// The roof's time as a share of the median.
    pub fn share(&self) -> f64 {
        self.roof.seconds / self.median()
    }
}

impl Roof {
    /// What makes it.
    pub const fn bound(self) -> &'static str {
        if self.memory { "memory" } else { "compute" }
    }
}

/// The value below which this share of sorted values lies, at the nearest of them; 0 where there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

/// Bytes for people.
fn size(bytes: f64) -> String {
    if bytes >= 1e9 { format!("{:.1} GB", bytes / 1e9) } else { format!("{:.0} MB", bytes / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_runs() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 10.0];
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|share| quantile(&sorted, share)), [1.0, 1.0, 3.0, 10.0, 10.0]);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }

    #[test]
    fn the_roof_is_the_slower_of_both() {
        let ceilings = Ceilings {
            copy_bytes: 1e10,
            f32_flops: 1e11,
            f32_kernel: String::new(),
            cooperative_flops: Some(1e13),
            dispatch_seconds: None,
            upload_bytes: 1.0,
            download_bytes: 1.0,
        };
        let roof = |name: &str| {
            let all = workloads(false).unwrap();
            let workload = all.iter().find(|w| w.name == name).unwrap();
            (ceilings.roof(workload), workload.flops(), workload.bytes())
        };
        let (product, flops, _) = roof("product/1024x1024x1024/f32");
        assert_eq!(product, Roof { seconds: flops / 1e11, memory: false });
        let (decode, _, bytes) = roof("swiglu/llama-3-8b/1/f16");
        assert_eq!(decode, Roof { seconds: bytes / 1e10, memory: true });
        // Cooperative matrices lift the roof of f16 so far that memory bounds this one.
        let (half, _, bytes) = roof("product/1024x1024x1024/f16");
        assert_eq!(half, Roof { seconds: bytes / 1e10, memory: true });
    }
}
