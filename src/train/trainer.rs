//! A network in training: one plan a step.

use super::init::Scheme;
use super::memory::Memory;
use super::network::{Network, NetworkSpec};
use super::optimizer::{LossScaling, Optimizer, Schedule, number};
use super::parameter::Parameter;
use super::records::{Evaluation, Record};
use super::task::{Edge, Ends, Task};
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, PlanBuilder, Tensor};
use crate::nn::{FeedForward, FeedForwardArgs, FeedForwardBackward, FeedForwardTraining, Workspace};
use crate::ops::Counter;
use crate::ops::steps::{self, ControlParams};
use crate::sizing::Policy;

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainerOptions {
    /// What gradients do to weights.
    pub optimizer: Optimizer,
    /// By how much.
    pub schedule: Schedule,
    /// What the loss is multiplied by.
    pub scaling: LossScaling,
    /// Largest norm of all gradients together; larger ones are scaled down to it (Pascanu et al. 2013).
    pub clip: Option<f64>,
    /// Kind of the weights that layers compute with, of what passes between blocks, and of gradients.
    pub element: Element,
    /// Kind of what lies inside a block; f16 overflows at 65504, which a gate's product reaches first.
    pub hidden: Element,
    /// What is kept for backward.
    pub policy: Policy,
    /// Probability with which a hidden unit is dropped in a step.
    pub dropout: f64,
    /// Where every random number comes from.
    pub seed: u64,
    /// Initial weights of the blocks.
    pub init: Scheme,
}

impl Default for TrainerOptions {
    /// AdamW at 1e-3 without decay, all in f32, no clipping, no dropout.
    fn default() -> Self {
        Self {
            optimizer: Optimizer::adamw(0.0),
            schedule: Schedule::constant(1e-3),
            scaling: LossScaling::NONE,
            clip: None,
            element: Element::F32,
            hidden: Element::F32,
            policy: Policy::Keep,
            dropout: 0.0,
            seed: 0,
            init: Scheme::default(),
        }
    }
}

/// Words of the state tensor, as shaders/train/state.wgsl numbers them.
const STATE: usize = 16;
const COUNT: usize = 0;
const SCALE: usize = 4;
/// Steps that the device's history holds.
const HISTORY: u32 = 64;

/// A network in training.
#[derive(Debug)]
pub struct Trainer {
    gpu: Gpu,
    spec: NetworkSpec,
    options: TrainerOptions,
    network: Network,
    /// Everything that a step does.
    step: Plan,
    /// What one validation batch does.
    evaluation: Plan,
    evaluations: u32,
    terms: usize,
    /// Of validation batches.
    batches: Counter,
    pub(super) state: Tensor,
    pub(super) history: Tensor,
    pub(super) norms: Tensor,
    loss: Tensor,
    /// How often each hidden unit was not 0 in a validation batch, by block.
    active: Vec<Tensor>,
    /// Of every gradient: values that are not 0, and those of them that f16 holds badly. Where gradients are f16.
    underflows: Option<(Plan, Tensor)>,
    /// Steps taken, and those whose records were read.
    pub(super) taken: u32,
    pub(super) read: u32,
    pending: Vec<Record>,
    memory: Memory,
}

impl Trainer {
    /// A network with initial weights, bound to its data; the most memory that it will ever take is allocated here.
    ///
    /// # Errors
    /// Numbers with which something is not defined, sizes that do not fit, [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn new(gpu: &Gpu, spec: &NetworkSpec, task: &Task, options: &TrainerOptions) -> Result<Self, Error> {
        let TrainerOptions { element, policy, .. } = *options;
        spec.check()?;
        options.check()?;
        let ends = task.ends(spec)?;
        let (rows, terms) = (task.rows(spec), task.terms(spec));
        let state = gpu.zeros(&[STATE], Element::F32)?;
        let (counter, batches) = (Counter::of(&state)?, Counter::new(gpu, 0)?);
        let network = Network::new(gpu, spec, &ends, options, &counter)?;
        let layers: Vec<&FeedForward> = network.blocks.iter().map(|block| &block.layer).collect();
        let workspace = Workspace::new(&layers, rows, policy, element)?;
        let flow = |_| gpu.zeros(&[rows, spec.d_model], element);
        let xs: Vec<Tensor> = (0..=spec.blocks).map(flow).collect::<Result<_, _>>()?;
        let dxs: Vec<Tensor> = (0..2).map(flow).collect::<Result<_, _>>()?;
        let loss = gpu.zeros(&[1], Element::F32)?;
        let norms = gpu.zeros(&[network.parameters.len()], Element::F32)?;
        let history = gpu.zeros(&[HISTORY as usize, 4], Element::F32)?;
        let active: Vec<Tensor> = network.blocks.iter().map(|_| gpu.zeros(&[spec.d_ff], Element::F32)).collect::<Result<_, _>>()?;
        let (y, dy) = (&xs[spec.blocks], &dxs[spec.blocks % 2]);
        let edge = Edge { x: &xs[0], dx: &dxs[0], y, dy, state: &state, counters: [&counter, &batches], loss: &loss };
        let Ends { prepare: [prepare, validation], loss: [back, measure], last, tensors } = Ends::new(gpu, task, &network, options, &edge)?;

        let (mut step, mut evaluation) = (prepare, validation);
        let mut backward = PlanBuilder::new(gpu).finish()?;
        let mut kept = 0;
        for (k, block) in network.blocks.iter().enumerate() {
            let (x, y) = (&xs[k], &xs[k + 1]);
            let dx = (k > 0 || !ends.is_empty()).then_some(&dxs[k % 2]);
            let args = FeedForwardBackward {
                dx,
                dparameters: block.dparameters.as_ref(),
                residual: spec.residual,
                ..FeedForwardBackward::new(x, &dxs[(k + 1) % 2], &block.gradients)
            };
            let bound = block.layer.train(FeedForwardTraining { y, backward: args, policy, workspace: &workspace })?;
            kept += bound.kept_bytes();
            let (forward, back) = bound.into_plans();
            step = step.then(forward);
            backward = back.then(backward);
            let hidden = workspace.hidden(rows, &block.layer)?;
            evaluation = evaluation.then(block.layer.evaluate(FeedForwardArgs { x, hidden: &hidden, y }, spec.residual)?);
            evaluation = evaluation.then(steps::non_zeros(gpu, &hidden, &active[k])?);
        }
        step = step.then(back).then(backward).then(last);
        for (k, parameter) in network.parameters.iter().enumerate() {
            step = step.then(steps::squares(gpu, &parameter.gradient, &norms.view(k, &[1])?)?);
        }
        let params = options.control(network.parameters.len(), terms);
        step = step.then(steps::control(gpu, params, [&norms, &loss, &state, &history])?);
        for parameter in &network.parameters {
            step = step.then(parameter.update(gpu, options.optimizer, &state)?);
        }
        evaluation = evaluation.then(measure);
        let underflows = if element == Element::F16 { Some(underflows(gpu, &network.parameters)?) } else { None };

        let size = |tensors: &mut dyn Iterator<Item = &Tensor>| tensors.map(|tensor| tensor.buffer().size()).sum::<u64>();
        let all = || network.parameters.iter();
        let (gradients, optimizer) = (size(&mut all().map(|p| &p.gradient)), size(&mut all().flat_map(|p| &p.kept)));
        let found = underflows.as_ref();
        let plans = [Some(&step), Some(&evaluation), found.map(|(plan, _)| plan)];
        let steering = [&state, &history, &norms, &loss, batches.tensor()];
        let memory = Memory {
            weights: size(&mut all().flat_map(Parameter::tensors)) - gradients - optimizer,
            gradients,
            optimizer,
            activations: size(&mut xs.iter().chain(&dxs)),
            kept,
            workspace: workspace.bytes(),
            task: size(&mut tensors.iter()),
            steering: size(&mut steering.into_iter().chain(&active).chain(found.map(|(_, tensor)| tensor))),
            scratch: plans.into_iter().flatten().map(Plan::scratch_bytes).sum(),
            parameters: plans.into_iter().flatten().map(Plan::parameter_bytes).sum(),
        };
        let evaluations = task.evaluations();
        let trainer = Self {
            gpu: gpu.clone(),
            spec: spec.clone(),
            options: *options,
            network,
            step,
            evaluation,
            evaluations,
            terms,
            batches,
            state,
            history,
            norms,
            loss,
            active,
            underflows,
            taken: 0,
            read: 0,
            pending: Vec::new(),
            memory,
        };
        let mut words = [0_f32; STATE];
        words[SCALE] = options.scaling.start().0 as f32;
        super::parameter::write(gpu, &trainer.state, bytemuck::cast_slice(&words));
        Ok(trainer)
    }

    /// Submits one step, and waits for nothing but, every 64 steps, for their records.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost; [`Error::Training`] as of [`Trainer::records`].
    pub fn step(&mut self) -> Result<(), Error> {
        if self.taken - self.read == HISTORY {
            self.fetch()?;
        }
        self.step.submit(&self.gpu);
        self.taken += 1;
        Ok(())
    }

    /// The steps' records since the last call, the earliest first; waits for the last step.
    ///
    /// # Errors
    /// [`Error::Training`] where a gradient is not finite and nothing will mend that: with a fixed loss scale, or at scale 1;
    /// and where gradients in f16 lie so near 0 that more than half of their values that are not 0 are below f16's normal
    /// numbers. [`Error::Gpu`] where the device is lost.
    pub fn records(&mut self) -> Result<Vec<Record>, Error> {
        self.fetch()?;
        Ok(std::mem::take(&mut self.pending))
    }

    /// Steps taken.
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// The network's form.
    pub const fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// What is learned, by name, in f32.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.network.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.master))
    }

    /// Gradients of the last step, by name, times its loss scale.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.network.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.gradient))
    }

    /// Bytes on the device.
    pub const fn memory(&self) -> Memory {
        self.memory
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is none of this name, or the number of values differs.
    pub fn set(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        match self.network.end(name) {
            Some(parameter) if parameter.master.len() == values.len() => parameter.set(&self.gpu, bytemuck::cast_slice(values)),
            Some(parameter) => {
                let expected = format!("{} values for `{name}`", parameter.master.len());
                Err(Error::Shape { operand: "values", expected, actual: vec![values.len()] })
            }
            None => {
                let names: Vec<_> = self.parameters().map(|(name, _)| name).collect();
                let expected = format!("a parameter: {}", names.join(", "));
                Err(Error::Shape { operand: "name", expected, actual: Vec::new() })
            }
        }
    }

    /// Measures the network as it is, without dropout, on the validation data.
    ///
    /// # Errors
    /// As [`Trainer::records`].
    pub fn evaluate(&mut self) -> Result<Evaluation, Error> {
        self.fetch()?;
        let mut sum = 0.0;
        let mut active = vec![vec![0.0; self.spec.d_ff]; self.spec.blocks];
        for batch in 0..self.evaluations {
            self.batches.set(&self.gpu, batch);
            self.evaluation.submit(&self.gpu);
            sum += self.gpu.read_back(&self.loss)?.iter().map(|v| f64::from(*v)).sum::<f64>();
            for (total, counts) in active.iter_mut().zip(&self.active) {
                let counts = self.gpu.read_back(counts)?;
                total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            }
        }
        let loss = sum / (f64::from(self.evaluations) * self.terms as f64);
        let dead = |counts: &Vec<f32>| counts.iter().filter(|count| **count == 0.0).count() as f64 / counts.len() as f64;
        let (norms, scale) = (self.gpu.read_back(&self.norms)?, f64::from(self.scale()?));
        let norm = |range: &std::ops::Range<usize>| norms[range.clone()].iter().map(|v| f64::from(*v)).sum::<f64>().sqrt() / scale;
        let gradient_norms = self.network.blocks.iter().map(|block| norm(&block.range)).collect();
        Ok(Evaluation { step: self.taken, loss, dead: active.iter().map(dead).collect(), gradient_norms })
    }

    /// The loss scale of the last step.
    fn scale(&self) -> Result<f32, Error> {
        if self.taken == 0 {
            return Ok(1.0);
        }
        // A step's line is there after a checkpoint, too.
        let line = self.history.view(((self.taken - 1) % HISTORY) as usize * 4, &[4])?;
        Ok(self.gpu.read_back(&line)?.get(3).copied().unwrap_or(1.0))
    }

    /// Reads what the device wrote down since the last time.
    fn fetch(&mut self) -> Result<(), Error> {
        if self.read == self.taken {
            return Ok(());
        }
        let lines = self.gpu.read_back(&self.history)?;
        let start = self.pending.len();
        for step in self.read..self.taken {
            let line = &lines[(step % HISTORY) as usize * 4..][..4];
            self.pending.push(Record { step, loss: line[0], gradient_norm: line[1], rate: line[2], scale: line[3] });
        }
        self.read = self.taken;
        let dynamic = matches!(self.options.scaling, LossScaling::Dynamic { .. });
        let lost = self.pending[start..].iter().find(|record| record.skipped() && (!dynamic || record.scale <= 1.0));
        match lost {
            Some(record) => Err(self.not_finite(*record)?),
            None => self.sound(),
        }
    }

    /// Names the first gradient that is not finite in the last step.
    fn not_finite(&self, record: Record) -> Result<Error, Error> {
        let norms = self.gpu.read_back(&self.norms)?;
        let TrainerOptions { element, hidden, scaling, .. } = self.options;
        let first = norms.iter().zip(&self.network.parameters).find(|(norm, _)| !norm.is_finite());
        let tensor = first.map_or_else(|| "loss".into(), |(_, parameter)| parameter.name.clone());
        let reason = format!(
            "gradients are not finite (loss {}, loss scale {}, {scaling:?}; weights and gradients in {element}, hidden in {hidden})",
            record.loss, record.scale
        );
        Ok(Error::Training { step: record.step, tensor, reason })
    }

    /// Refuses gradients that f16 cannot tell from nothing.
    fn sound(&self) -> Result<(), Error> {
        let Some((plan, counts)) = &self.underflows else { return Ok(()) };
        plan.submit(&self.gpu);
        for (parameter, count) in self.network.parameters.iter().zip(self.gpu.read_back(counts)?.chunks_exact(2)) {
            let share = f64::from(count[1]) / f64::from(count[0].max(1.0));
            if share > MOST_UNDERFLOWING {
                let reason = format!(
                    "{:.0}% of its gradient's values that are not 0 are below 6.1e-5, where f16 loses their digits and then the \
                     values; loss scaling lifts them (it is {:?})",
                    100.0 * share,
                    self.options.scaling
                );
                return Err(Error::Training { step: self.taken.saturating_sub(1), tensor: parameter.name.clone(), reason });
            }
        }
        Ok(())
    }

    pub(super) const fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn learned(&self) -> &[Parameter] {
        &self.network.parameters
    }
}

/// Share of a gradient's values in f16 that may be below its normal numbers.
const MOST_UNDERFLOWING: f64 = 0.5;

/// Counts what underflows in each gradient.
fn underflows(gpu: &Gpu, parameters: &[Parameter]) -> Result<(Plan, Tensor), Error> {
    let counts = gpu.zeros(&[parameters.len(), 2], Element::F32)?;
    let mut plan = PlanBuilder::new(gpu).finish()?;
    for (k, parameter) in parameters.iter().enumerate() {
        plan = plan.then(steps::underflows(gpu, &parameter.gradient, &counts.view(2 * k, &[2])?)?);
    }
    Ok((plan, counts))
}

impl TrainerOptions {
    fn check(&self) -> Result<(), Error> {
        self.optimizer.check()?;
        self.schedule.check()?;
        self.scaling.check()?;
        number("dropout", "probability", self.dropout, true)?;
        number("clipping", "norm", self.clip.unwrap_or(1.0), false)
    }

    fn control(&self, tensors: usize, terms: usize) -> ControlParams {
        let ([log_beta1, log_beta2], (minimum, total)) = (self.optimizer.log_betas(), self.schedule.end());
        ControlParams {
            tensors: tensors as u32,
            history: HISTORY,
            growth: self.scaling.start().1,
            clip: self.clip.unwrap_or(0.0) as f32,
            share: (1.0 / terms.max(1) as f64) as f32,
            log_beta1,
            log_beta2,
            rate: self.schedule.rate as f32,
            minimum: minimum as f32,
            warm_up: self.schedule.warm_up,
            total,
            ..Default::default()
        }
    }
}

/// The count of steps, as the state tensor holds it.
pub(super) fn count_of(state: &[u8]) -> Option<u32> {
    let word = state.get(4 * COUNT..4 * COUNT + 4)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}
