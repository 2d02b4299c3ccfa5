//! What was measured, and the roof that it is judged by.

use super::ceilings::Ceilings;
use super::workloads::Workload;
use crate::element::Element;
use crate::gpu::Clock;

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

impl Ceilings {
    /// The roof over a workload. Products of f16 are held to the cooperative rate where there is one.
    pub fn roof(&self, workload: &Workload) -> Roof {
        let cooperative = self.cooperative_flops.filter(|_| workload.multiplies() && workload.element == Element::F16);
        let rate = cooperative.map_or(self.f32_flops, |rate| rate.max(self.f32_flops));
        let (compute, memory) = (workload.flops() / rate, workload.bytes() / self.copy_bytes);
        Roof { seconds: compute.max(memory), memory: memory >= compute }
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
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workloads;

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
