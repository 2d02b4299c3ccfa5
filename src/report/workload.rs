//! One workload of a run: what it computes and how long that took.

use std::ops::RangeInclusive;

use super::error::Result;
use super::field::Field;

/// A time: from less than a tick of any clock to weeks.
const SECONDS: RangeInclusive<f64> = 1e-12..=1e6;
/// Operations or bytes of a workload.
const MOST_WORK: f64 = 1e24;
/// How far speed, work and time may disagree: they may have been rounded.
const ROUNDING: f64 = 0.05;

/// What a file says about one workload.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Workload {
    /// The family it belongs to, such as `decode`.
    pub group: String,
    /// Its name, unique in the file.
    pub name: String,
    /// Its sizes by name, such as `tokens`.
    pub shape: Vec<(String, u64)>,
    /// Kind of the weights and activations.
    pub element: String,
    /// Names of the dispatches.
    pub kernels: Vec<String>,
    /// Operations of the mathematics.
    pub flops: f64,
    /// Bytes of the mathematics: each operand once.
    pub bytes: f64,
    /// The largest error as a share of what is allowed.
    pub worst_error: f64,
    /// How long it took.
    pub seconds: Seconds,
    /// Thousand millions of operations per second, from the median.
    pub gflops: f64,
    /// Thousand millions of bytes per second, from the median.
    pub gbytes: f64,
    /// The median's share of the roof; `None` where there is no roof.
    pub share: Option<f64>,
    /// What the roof consists of at this intensity: `compute` or `memory`.
    pub bound: Option<&'static str>,
}

/// Times of the runs of a workload, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Seconds {
    /// Half of the runs took less.
    pub median: f64,
    /// The fastest run.
    pub min: f64,
    /// A tenth of the runs took less.
    pub p10: f64,
    /// A tenth of the runs took more.
    pub p90: f64,
    /// Runs.
    pub runs: u64,
}

/// A workload that was not measured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Workload {
    /// Operations per byte.
    pub fn intensity(&self) -> f64 {
        self.flops / self.bytes
    }

    pub(super) fn read(field: &Field) -> Result<Self> {
        let text = |name| field.get(name)?.text();
        let workload = Self {
            group: text("group")?,
            name: text("name")?,
            shape: field.get("shape")?.entries()?.map(|(name, size)| Ok((name.to_owned(), size.count()?))).collect::<Result<_>>()?,
            element: text("element")?,
            kernels: field.get("kernels")?.items()?.map(|item| item.text()).collect::<Result<_>>()?,
            flops: field.get("flops")?.number(0.0..=MOST_WORK)?,
            bytes: field.get("bytes")?.number(1.0..=MOST_WORK)?,
            // What is wrong is not timed, so it cannot be more than what is allowed.
            worst_error: field.get("worst_error")?.number(0.0..=1.0)?,
            seconds: Seconds::read(&field.get("seconds")?)?,
            gflops: field.get("gflops")?.number(0.0..=1e12)?,
            gbytes: field.get("gbytes")?.number(0.0..=1e12)?,
            share: field.nullable("share")?.map(|share| share.number(0.0..=1e3)).transpose()?,
            bound: field
                .nullable("bound")?
                .map(|bound| bound.one_of(&[("compute", "compute"), ("memory", "memory")], "\"compute\" or \"memory\""))
                .transpose()?,
        };
        for (name, work, rate) in [("gflops", workload.flops, workload.gflops), ("gbytes", workload.bytes, workload.gbytes)] {
            let expected = work / workload.seconds.median * 1e-9;
            if (rate - expected).abs() > ROUNDING * expected {
                return Err(field.get(name)?.contradiction(rate, "work / seconds.median", expected));
            }
        }
        Ok(workload)
    }
}

impl Seconds {
    fn read(field: &Field) -> Result<Self> {
        let time = |name| field.get(name)?.number(SECONDS);
        let times = ["min", "p10", "median", "p90"];
        let [min, p10, median, p90] = [time(times[0])?, time(times[1])?, time(times[2])?, time(times[3])?];
        let order = [(0, min, p10), (1, p10, median), (2, median, p90)];
        if let Some(&(at, low, high)) = order.iter().find(|(_, low, high)| low > high) {
            return Err(field.get(times[at])?.contradiction(low, times[at + 1], high));
        }
        let runs = field.get("runs")?;
        match runs.count()? {
            0 => Err(runs.contradiction(0.0, "seconds.median", median)),
            runs => Ok(Self { median, min, p10, p90, runs }),
        }
    }
}

impl Skipped {
    pub(super) fn read(field: &Field) -> Result<Self> {
        Ok(Self { name: field.get("name")?.text()?, reason: field.get("reason")?.text()? })
    }
}
