//! Measuring which kernel computes a product fastest on this adapter.

use web_time::Instant;

use super::linear::{Linear, LinearArgs, Weights};
use crate::accuracy::Random;
use crate::activation::Activation;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Effort, Gpu, Plan, Quantised, Tensor, Timer, Weight};
use crate::quantised::{Int4, Packing, WeightKind};
use crate::tuning::{Choice, Problem, Strategy, Tuning, shipped};

/// What a measurement found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The fastest, which is remembered.
    pub chosen: Strategy,
    /// As of [`measure`].
    pub measured: Vec<(Strategy, f64)>,
    /// Why the choice could not be written to the user's file; this process remembers it all the same.
    pub not_kept: Option<String>,
}

/// Rounds in which the candidates take turns; what counts is the median turn.
const ROUNDS: usize = 9;
/// Rounds that there are, however long they take.
const FEWEST_ROUNDS: usize = 3;
/// Seconds after which no further round begins.
const PATIENCE: f64 = 5.0;
/// One turn: what is short is run often.
const TURN: Effort = Effort { fewest: 1, most: 51, seconds: 0.01 };
/// A candidate whose fastest run so far takes so many times the lowest median is given up after the first round, after
/// the second, and so on: not even at its best moment is it near what the leader does in any. One run against another's
/// lucky one, or a median that a bad moment made worse, would cost good candidates their places.
const HOPELESS: [f64; 5] = [4.0, 2.0, 1.5, 1.3, 1.2];
/// Seconds that a first run may take for compiling.
const COMPILING: f64 = 1.0;

/// Measures every candidate for this product, and remembers the fastest for its class. `progress` hears of each.
///
/// # Errors
/// As [`measure`].
#[cfg(not(target_arch = "wasm32"))]
pub fn tune(gpu: &Gpu, problem: &Problem, progress: &mut dyn FnMut(Strategy)) -> Result<Tuned, Error> {
    crate::gpu::block_on(tune_async(gpu, problem, progress))
}

/// The same where a thread must not block.
///
/// # Errors
/// As [`measure`].
pub async fn tune_async(gpu: &Gpu, problem: &Problem, progress: &mut dyn FnMut(Strategy)) -> Result<Tuned, Error> {
    let measured = measure_async(gpu, problem, progress).await?;
    let Some(&(chosen, seconds)) = measured.first() else { return Err(nothing(problem)) };
    log::info!("{}: {chosen} takes {:.3} ms", problem.class(), seconds * 1e3);
    let kept = gpu.tuned(|cache| cache.remember(&problem.class(), Choice { strategy: chosen, seconds }));
    let not_kept = kept.err().map(|error| error.to_string());
    if let Some(reason) = &not_kept {
        log::warn!("the tuning of {} is not kept: {reason}", problem.class());
    }
    Ok(Tuned { chosen, measured, not_kept })
}

/// Median seconds of every candidate for this product, the fastest first, and last those that were given up early for
/// being far slower; those that the device refused are missing. `progress` hears of each. Nothing is remembered.
///
/// Candidates compute a product of small whole numbers, whose sums are exact in any order: they must agree bit for bit.
///
/// # Errors
/// [`Error::Gpu`] where candidates disagree; what the device refuses to all of them.
#[cfg(not(target_arch = "wasm32"))]
pub fn measure(gpu: &Gpu, problem: &Problem, progress: &mut dyn FnMut(Strategy)) -> Result<Vec<(Strategy, f64)>, Error> {
    crate::gpu::block_on(measure_async(gpu, problem, progress))
}

/// The same where a thread must not block.
///
/// # Errors
/// As [`measure`].
pub async fn measure_async(gpu: &Gpu, problem: &Problem, progress: &mut dyn FnMut(Strategy)) -> Result<Vec<(Strategy, f64)>, Error> {
    let operands = Operands::new(gpu, problem)?;
    let capabilities = gpu.capabilities();
    let mut candidates = problem.candidates(&capabilities);
    // What is shipped is rarely far off: the hopeless are recognised by it.
    let expected = shipped(&capabilities, problem);
    candidates.sort_by_key(|strategy| *strategy != expected);
    let mut timer = Timer::new(gpu)?;
    let mut running: Vec<Running> = Vec::new();
    let mut given_up = Vec::new();
    let mut expected: Option<(Strategy, Vec<u8>)> = None;
    let mut refused = None;
    for strategy in candidates {
        progress(strategy);
        let plan = match operands.plan(gpu, problem, strategy) {
            Ok(plan) => plan,
            Err(error) => {
                log::warn!("{strategy} for {}: {error}", problem.class());
                refused = Some(error);
                continue;
            }
        };
        let begun = Instant::now();
        plan.submit(gpu);
        gpu.wait_async().await?;
        let first = begun.elapsed().as_secs_f64();
        let result = gpu.read_bytes_async(&operands.out).await?;
        match &expected {
            None => expected = Some((strategy, result)),
            Some((_, first)) if *first == result => {}
            Some((first, _)) => {
                return Err(Error::Gpu { what: format!("tuning {}", problem.class()), reason: format!("{strategy} and {first} disagree") });
            }
        }
        if first - COMPILING > HOPELESS[0] * lowest_median(&running) {
            given_up.push((strategy, first));
            continue;
        }
        let mut candidate = Running { strategy, plan, turns: Vec::new(), fastest: f64::INFINITY };
        candidate.turn(&mut timer).await?;
        running.push(candidate);
    }
    if running.is_empty() {
        return Err(refused.unwrap_or_else(|| nothing(problem)));
    }
    let begun = Instant::now();
    for round in 1..ROUNDS {
        if round >= FEWEST_ROUNDS && begun.elapsed().as_secs_f64() > PATIENCE {
            break;
        }
        let most = HOPELESS[(round - 1).min(HOPELESS.len() - 1)] * lowest_median(&running);
        given_up.extend(running.extract_if(.., |running| running.fastest > most).map(|running| (running.strategy, running.median())));
        if running.len() == 1 {
            break;
        }
        for running in &mut running {
            running.turn(&mut timer).await?;
        }
    }
    let mut measured: Vec<_> = running.iter().map(|running| (running.strategy, running.median())).collect();
    for times in [&mut measured, &mut given_up] {
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    measured.append(&mut given_up);
    Ok(measured)
}

fn nothing(problem: &Problem) -> Error {
    Error::Gpu { what: format!("tuning {}", problem.class()), reason: "there is no candidate".into() }
}

/// A candidate, the median of each of its turns, and its fastest run, in seconds.
struct Running {
    strategy: Strategy,
    plan: Plan,
    turns: Vec<f64>,
    fastest: f64,
}

impl Running {
    async fn turn(&mut self, timer: &mut Timer) -> Result<(), Error> {
        let seconds = timer.time_async(&self.plan, TURN).await?;
        self.fastest = seconds.iter().copied().fold(self.fastest, f64::min);
        self.turns.push(median(seconds));
        Ok(())
    }

    fn median(&self) -> f64 {
        median(self.turns.clone())
    }
}

fn lowest_median(running: &[Running]) -> f64 {
    running.iter().map(Running::median).fold(f64::INFINITY, f64::min)
}

/// Infinite of nothing.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// Quantised weights that stand for small whole numbers.
fn whole_numbers(gpu: &Gpu, shape: [usize; 2], packing: Packing) -> Result<Quantised, Error> {
    let [rows, cols] = shape;
    let mut random = Random::new(11);
    let mut bytes = |count: usize| -> Vec<u8> { (0..count).map(|_| random.uniform(0.0, 256.0) as u8).collect() };
    match packing {
        Packing::Block(block) => {
            let mut blocks = bytes(rows * cols / block.len() * block.size());
            blocks.chunks_exact_mut(block.size()).for_each(|bytes| block.set_unit_scales(bytes));
            gpu.quantised_blocks(&blocks, &shape, block)
        }
        Packing::Int4 { group } => {
            let groups = rows * (cols / group as usize);
            let (scales, zeros) = (vec![1.0; groups], vec![8; groups]);
            gpu.quantised_int4(&Int4 { shape, group: group as usize, codes: bytes(rows * cols / 2), scales, zeros, order: None })
        }
    }
}

struct Operands {
    a: Tensor,
    b: Weight,
    b_up: Option<Weight>,
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
        let a = tensor(rows, transposed[0], a)?;
        let mut weight = || match b {
            WeightKind::Plain(element) => tensor(cols, transposed[1], element).map(Weight::from),
            WeightKind::Packed(packing) => whole_numbers(gpu, [cols, depth], packing).map(Weight::from),
        };
        Ok(Self { a, b: weight()?, b_up: gated.then(weight).transpose()?, out: gpu.zeros(&[rows, cols], out)? })
    }

    fn plan(&self, gpu: &Gpu, problem: &Problem, strategy: Strategy) -> Result<Plan, Error> {
        let (linear, weights) = match &self.b_up {
            None => (Linear::new(gpu, Activation::Identity), Weights::plain(&self.b)),
            Some(up) => {
                let weights = Weights::GateUp { gate: (&self.b).into(), up: up.into(), bias: None };
                (Linear::gated(gpu, Gate::Of(Activation::Identity)), weights)
            }
        };
        let args = LinearArgs { transposed: problem.transposed, ..LinearArgs::new(&self.a, weights, &self.out) };
        linear.with_tuning(Tuning::Fixed(strategy)).plan(args)
    }
}
