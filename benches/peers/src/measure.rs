//! One workload on both sides: first calls, the check, warm-up, and runs that take turns.

use std::error::Error;
use std::time::Instant;

use burn::tensor::Device;
use ffwd::Gpu;

use crate::ours::Ours;
use crate::theirs::Theirs;
use crate::workload::{Work, Workload};

/// Rounds of both sides between the check and the first that counts.
const WARM_UPS: usize = 5;

/// What one side did.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// Seconds of the very first run: compiling, and for burn autotuning where no cache has the answer.
    pub first: f64,
    /// The largest error, in units of 2^-24 of the terms.
    pub error: f64,
    /// Seconds of each counted run, in their order; none where a result was wrong.
    pub seconds: Vec<f64>,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The workload's name.
    pub name: String,
    /// What one run does.
    pub work: Work,
    /// The error that is allowed, in units of 2^-24 of the terms.
    pub allowed: f64,
    /// ffwd.
    pub ours: Side,
    /// burn.
    pub theirs: Side,
}

impl Side {
    /// The median of the counted runs.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some((lower + upper) / 2.0)
    }
}

impl Row {
    /// Whether both results are within the bound.
    pub fn is_right(&self) -> bool {
        self.ours.error <= self.allowed && self.theirs.error <= self.allowed
    }
}

/// Checks both sides, then times `runs` runs of each.
///
/// # Errors
/// What either side reports. A wrong result is no error but a row without times.
pub fn measure(gpu: &Gpu, device: &Device, workload: &Workload, runs: usize) -> Result<Row, Box<dyn Error>> {
    let inputs = workload.inputs();
    let truth = workload.truth(&inputs);
    let (ours, theirs) = (Ours::new(gpu, workload, &inputs)?, Theirs::new(device, workload, &inputs)?);
    let run_ours = || timed(|| Ok(ours.run()?));
    let run_theirs = || timed(|| theirs.run());
    let mut row = Row {
        name: workload.name(),
        work: workload.work(),
        allowed: truth.allowed,
        ours: Side { first: run_ours()?, ..Side::default() },
        theirs: Side { first: run_theirs()?, ..Side::default() },
    };
    row.ours.error = truth.error(&ours.result()?);
    row.theirs.error = truth.error(&theirs.result()?);
    if !row.is_right() {
        return Ok(row);
    }
    drop((truth, inputs));
    for round in 0..WARM_UPS + runs {
        // Whoever goes second may find caches, clocks and threads as the other left them; they take turns in that too.
        let (a, b) = if round % 2 == 0 {
            let a = run_ours()?;
            (a, run_theirs()?)
        } else {
            let b = run_theirs()?;
            (run_ours()?, b)
        };
        if round >= WARM_UPS {
            row.ours.seconds.push(a);
            row.theirs.seconds.push(b);
        }
    }
    Ok(row)
}

/// Seconds of one run; what it returns is dropped after the clock has stopped.
fn timed<T>(run: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let output = run()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(output);
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let median = |seconds: &[f64]| Side { seconds: seconds.to_vec(), ..Side::default() }.median();
        assert_eq!((median(&[]), median(&[3.0]), median(&[4.0, 1.0, 2.0]), median(&[4.0, 1.0])), (None, Some(3.0), Some(2.0), Some(2.5)));
    }
}
