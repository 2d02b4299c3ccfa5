//! Running workloads: what is refused, what is wrong, and how often the rest is run.

use super::ceilings::Ceilings;
use super::report::{Measurement, Report, Roof, Skipped};
use super::workloads::Workload;
use crate::date;
use crate::error::Error;
use crate::gpu::{Effort, Gpu, Timer};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Few runs of each.
    pub quick: bool,
    /// Workloads that are expected to take longer than this, all of their runs together, are skipped.
    pub max_seconds: f64,
}

/// Measures workloads on one adapter.
#[derive(Debug)]
pub struct Bench {
    timer: Timer,
    options: Options,
    report: Report,
}

/// Runs of a workload, fewest and most, and its seconds.
const FULL: Effort = Effort { fewest: 3, most: 501, seconds: 1.0 };
const QUICK: Effort = Effort { fewest: 3, most: 101, seconds: 0.3 };

/// The share of the roof that a workload is expected to reach before any of its kind was measured.
const EXPECTED_SHARE: f64 = 0.25;

impl Bench {
    /// Measures the ceilings.
    ///
    /// # Errors
    /// Whatever the device refuses; [`Error::Gpu`] where a result is wrong.
    pub async fn start(gpu: &Gpu, options: Options) -> Result<Self, Error> {
        let date = date::now();
        let mut timer = Timer::new(gpu)?;
        let ceilings = Ceilings::measure(&mut timer).await?;
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

    /// Checks and times a workload, or notes why not.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost, and what is wrong with the operands: a bug here.
    pub async fn measure(&mut self, workload: &Workload) -> Result<(), Error> {
        let skipped = |reason, wrong| Skipped { name: workload.name.clone(), reason, wrong };
        let roof = self.report.ceilings.roof(workload);
        let outcome = match self.refusal(workload, roof) {
            Some(reason) => Err(skipped(reason, false)),
            None => match self.time(workload, roof).await {
                Ok(measured) if measured.worst_error > 1.0 => {
                    Err(skipped(format!("wrong: its error is {:.3e} of what is allowed", measured.worst_error), true))
                }
                Ok(measured) => Ok(measured),
                Err(error @ (Error::Limit { .. } | Error::OutOfMemory { .. })) => Err(skipped(error.to_string(), false)),
                Err(error) => return Err(error),
            },
        };
        match outcome {
            Ok(measured) => self.report.workloads.push(measured),
            Err(skipped) => self.report.skipped.push(skipped),
        }
        // What was dropped is freed before the next one comes.
        self.timer.gpu().wait_async().await
    }

    /// Of what is wrong, nothing is timed.
    async fn time(&mut self, workload: &Workload, roof: Roof) -> Result<Measurement, Error> {
        let prepared = workload.prepare(self.timer.gpu())?;
        let worst_error = prepared.check(self.timer.gpu()).await?;
        let effort = if self.options.quick { QUICK } else { FULL };
        let seconds = if worst_error > 1.0 { Vec::new() } else { self.timer.time_async(prepared.plan(), effort).await? };
        let kernels = prepared.plan().kernels().map(str::to_owned).collect();
        Ok(Measurement { workload: workload.clone(), kernels, worst_error, seconds, roof })
    }

    /// Why it is not even tried.
    fn refusal(&self, workload: &Workload, roof: Roof) -> Option<String> {
        let limits = &self.report.limits;
        let bytes = workload.largest();
        if bytes > limits.max_buffer_size as f64 {
            return Some(format!("needs a buffer of {}, the adapter allows {}", size(bytes), size(limits.max_buffer_size as f64)));
        }
        // The run that is checked, the one that is not counted, and the fewest that are.
        let runs = 2 + FULL.fewest;
        let seconds = runs as f64 * roof.seconds / self.expected_share(workload, roof);
        let most = self.options.max_seconds;
        (seconds > most).then(|| format!("{runs} runs would take about {seconds:.2} s, {most} s are allowed"))
    }

    /// What the last workload of its kind reached.
    fn expected_share(&self, workload: &Workload, roof: Roof) -> f64 {
        let alike = |m: &&Measurement| m.workload.multiplies() == workload.multiplies() && m.roof.memory == roof.memory;
        self.report.workloads.iter().rev().find(alike).map_or(EXPECTED_SHARE, Measurement::share)
    }

    /// What was measured.
    pub fn finish(self) -> Report {
        Report { clock: self.timer.clock(), ..self.report }
    }
}

/// Bytes for people.
fn size(bytes: f64) -> String {
    if bytes >= 1e9 { format!("{:.1} GB", bytes / 1e9) } else { format!("{:.0} MB", bytes / 1e6) }
}
