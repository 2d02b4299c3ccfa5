//! Whether what was chosen stands a second measurement.

use ffwd::ops::{self, Linear};
use ffwd::tuning::{Problem, Strategy, Tuning};
use ffwd::{Activation, Error, Gpu};

use super::Row;
use crate::progress;

/// How many times the best candidate's time a choice may take.
pub const MOST: f64 = 1.1;

/// A product with what its class chose, against every candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The product.
    pub problem: Problem,
    /// What computes it from now on, and its seconds.
    pub chosen: (Strategy, f64),
    /// The fastest in this measurement.
    pub best: (Strategy, f64),
    /// Measurements; a second one follows a failure, and counts.
    pub measurements: usize,
}

impl Checked {
    /// Times of the best candidate's that the choice takes.
    pub fn ratio(&self) -> f64 {
        self.chosen.1 / self.best.1
    }

    /// Whether it is near enough; NaN is not.
    pub fn passed(&self) -> bool {
        self.ratio() <= MOST
    }
}

/// Measures every product of every class once more.
pub fn rows(gpu: &Gpu, rows: &mut [Row]) -> Result<(), Error> {
    let bar = progress::bar(rows.iter().map(|row| row.product.problems().count()).sum(), "checking");
    for row in rows {
        bar.set_message(row.product.class.clone());
        for problem in row.product.problems() {
            let mut checked = measure(gpu, problem)?;
            if !checked.passed() {
                checked = Checked { measurements: 2, ..measure(gpu, problem)? };
            }
            row.checked.push(checked);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn measure(gpu: &Gpu, problem: &Problem) -> Result<Checked, Error> {
    let chosen = Linear::new(gpu, Activation::Identity).with_tuning(Tuning::Cached).strategy(problem)?;
    let measured = ops::measure(gpu, problem, &mut |_| {})?;
    let seconds = measured.iter().find(|(strategy, _)| *strategy == chosen).map_or(f64::INFINITY, |(_, seconds)| *seconds);
    let best = measured.first().copied().unwrap_or((chosen, seconds));
    Ok(Checked { problem: *problem, chosen: (chosen, seconds), best, measurements: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_or_was_refused_fails() {
        let strategy: Strategy = "direct-4".parse().unwrap();
        let checked = |chosen, best| {
            let problem = Problem::new(1, 64, 64);
            Checked { problem, chosen: (strategy, chosen), best: (strategy, best), measurements: 1 }.passed()
        };
        assert!(checked(1.0, 1.0) && checked(1.09, 1.0));
        assert!(!checked(1.11, 1.0) && !checked(f64::INFINITY, 1.0) && !checked(f64::INFINITY, f64::INFINITY));
    }
}
