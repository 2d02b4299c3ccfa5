//! Measuring which kernel computes a product fastest on this adapter.

use std::time::Instant;

use super::linear::{Linear, LinearArgs, Weights};
use crate::accuracy::Random;
use crate::activation::Activation;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Gpu, Plan, Tensor, time};
use crate::tuning::{Choice, Problem, Strategy, Tuning};

/// What a measurement found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The fastest, which is remembered.
    pub chosen: Strategy,
    /// Every candidate with its median time in seconds, the fastest first; those that were given up early, or that the
    /// device refused, are missing.
    pub measured: Vec<(Strategy, f64)>,
}

/// Rounds in which the candidates take turns.
const ROUNDS: usize = 7;
/// A candidate that takes so much longer than the fastest in the first round is not run again.
const HOPELESS: f64 = 2.0;
/// Seconds after which no further round begins.
const PATIENCE: f64 = 4.0;

/// Measures every candidate for this product, and remembers the fastest for its class. `progress` hears of each.
///
/// Candidates compute a product of small whole numbers, whose sums are exact in any order: they must agree bit for bit.
///
/// # Errors
/// [`Error::Gpu`] where candidates disagree; what the device refuses to all of them.
pub fn tune(gpu: &Gpu, problem: &Problem, progress: &mut dyn FnMut(Strategy)) -> Result<Tuned, Error> {
    let operands = Operands::new(gpu, problem)?;
    let mut running: Vec<(Strategy, Plan, Vec<f64>)> = Vec::new();
    let mut expected: Option<(Strategy, Vec<u8>)> = None;
    let mut refused = None;
    let begun = Instant::now();
    for strategy in problem.candidates(&gpu.capabilities()) {
        progress(strategy);
        let plan = match operands.plan(gpu, problem, strategy) {
            Ok(plan) => plan,
            Err(error) => {
                log::warn!("{strategy} for {}: {error}", problem.class());
                refused = Some(error);
                continue;
            }
        };
        plan.submit(gpu);
        let result = gpu.read_bytes(&operands.out)?;
        match &expected {
            None => expected = Some((strategy, result)),
            Some((_, first)) if *first == result => {}
            Some((first, _)) => {
                return Err(Error::Gpu { what: format!("tuning {}", problem.class()), reason: format!("{strategy} and {first} disagree") });
            }
        }
        let (seconds, _) = time(gpu, &plan, 1)?;
        running.push((strategy, plan, seconds));
    }
    let median = |seconds: &[f64]| {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
    };
    let fastest = running.iter().map(|(_, _, seconds)| median(seconds)).fold(f64::INFINITY, f64::min);
    running.retain(|(_, _, seconds)| median(seconds) <= HOPELESS * fastest);
    let spent = begun.elapsed().as_secs_f64();
    for _ in 1..ROUNDS {
        for (_, plan, seconds) in &mut running {
            seconds.extend(time(gpu, plan, 1)?.0);
        }
        if begun.elapsed().as_secs_f64() - spent > PATIENCE {
            break;
        }
    }
    let mut measured: Vec<_> = running.iter().map(|(strategy, _, seconds)| (*strategy, median(seconds))).collect();
    measured.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(chosen, seconds)) = measured.first() else {
        return Err(refused.unwrap_or(Error::Gpu { what: "tuning".into(), reason: "there is no candidate".into() }));
    };
    log::info!("{}: {chosen} takes {:.3} ms", problem.class(), seconds * 1e3);
    if let Err(error) = gpu.tuned(|cache| cache.remember(&problem.class(), Choice { strategy: chosen, seconds })) {
        log::warn!("the tuning of {} is not kept: {error}", problem.class());
    }
    Ok(Tuned { chosen, measured })
}

struct Operands {
    a: Tensor,
    b: Tensor,
    b_up: Option<Tensor>,
    out: Tensor,
}

impl Operands {
    /// Whole numbers from -2 to 2.
    fn new(gpu: &Gpu, problem: &Problem) -> Result<Self, Error> {
        let &Problem { rows, cols, depth, gated, a, b, out, transposed } = problem;
        let mut random = Random::new(7);
        let mut tensor = |rows: usize, transposed: bool, element| {
            let shape = if transposed { [depth, rows] } else { [rows, depth] };
            let values: Vec<f32> = (0..rows * depth).map(|_| random.uniform(-2.5, 2.5).round()).collect();
            gpu.tensor(&values, &shape, element)
        };
        Ok(Self {
            a: tensor(rows, transposed[0], a)?,
            b: tensor(cols, transposed[1], b)?,
            b_up: gated.then(|| tensor(cols, transposed[1], b)).transpose()?,
            out: gpu.zeros(&[rows, cols], out)?,
        })
    }

    fn plan(&self, gpu: &Gpu, problem: &Problem, strategy: Strategy) -> Result<Plan, Error> {
        let (linear, weights) = match &self.b_up {
            None => (Linear::new(gpu, Activation::Identity), Weights::One { weight: &self.b, bias: None }),
            Some(up) => (Linear::gated(gpu, Gate::Of(Activation::Identity)), Weights::GateUp { gate: &self.b, up, bias: None }),
        };
        let args = LinearArgs { transposed: problem.transposed, ..LinearArgs::new(&self.a, weights, &self.out) };
        linear.with_tuning(Tuning::Fixed(strategy)).plan(args)
    }
}
