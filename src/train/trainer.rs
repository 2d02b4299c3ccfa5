//! A network in training: one plan a step.

use super::assembly::{Assembly, Steering};
use super::memory::Memory;
use super::network::NetworkSpec;
use super::optimizer::LossScaling;
use super::options::TrainerOptions;
use super::parameter::Parameter;
use super::records::{Evaluation, Record};
use super::task::Task;
use crate::error::Error;
use crate::gpu::{Gpu, Tensor};

/// Words of the state tensor, as shaders/train/state.wgsl numbers them.
pub(super) const STATE: usize = 16;
const COUNT: usize = 0;
const SCALE: usize = 4;
/// Steps that the device's history holds.
pub(super) const HISTORY: u32 = 64;
/// Numbers of a step there: those of [`Record`], and the first gradient that was not finite, counted from 1.
pub(super) const LINE: usize = 5;
/// Most steps of a trainer: counts are of 32 bits, with room for what is added to them.
const MOST_STEPS: u32 = 1 << 31;

/// A network in training.
#[derive(Debug)]
pub struct Trainer {
    gpu: Gpu,
    spec: NetworkSpec,
    options: TrainerOptions,
    assembly: Assembly,
    evaluations: u32,
    terms: usize,
    /// Steps taken, and those whose records were read.
    pub(super) taken: u32,
    read: u32,
    pending: Vec<Record>,
}

impl Trainer {
    /// A network with initial weights, bound to its data; the most memory that it will ever take is allocated here.
    ///
    /// # Errors
    /// Numbers with which something is not defined, sizes that do not fit, [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn new(gpu: &Gpu, spec: &NetworkSpec, task: &Task, options: &TrainerOptions) -> Result<Self, Error> {
        let assembly = Assembly::new(gpu, spec, task, options)?;
        let mut words = [0_f32; STATE];
        words[SCALE] = options.scaling.start().0 as f32;
        super::parameter::write(gpu, &assembly.tensors.state, bytemuck::cast_slice(&words));
        let (evaluations, terms) = (task.evaluations(), task.terms(spec));
        let (gpu, spec, options) = (gpu.clone(), spec.clone(), *options);
        Ok(Self { gpu, spec, options, assembly, evaluations, terms, taken: 0, read: 0, pending: Vec::new() })
    }

    /// Submits one step, and waits for nothing but, every 64 steps, for their records.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost; [`Error::Training`] as of [`Trainer::records_async`]; [`Error::Limit`] after 2^31
    /// steps.
    pub async fn step_async(&mut self) -> Result<(), Error> {
        if self.taken == MOST_STEPS {
            return Err(Error::Limit { what: "steps", required: u64::from(MOST_STEPS) + 1, allowed: MOST_STEPS.into() });
        }
        if self.taken - self.read == HISTORY {
            self.fetch().await?;
        }
        self.assembly.step.submit(&self.gpu);
        self.taken += 1;
        Ok(())
    }

    /// The steps' records since the last call, the earliest first; waits for the last step.
    ///
    /// # Errors
    /// [`Error::Training`] where a gradient is not finite and nothing will mend that: with a fixed loss scale, or at scale 1;
    /// and where gradients in f16 lie so near 0 that more than half of their values that are not 0 are below f16's normal
    /// numbers. [`Error::Gpu`] where the device is lost.
    pub async fn records_async(&mut self) -> Result<Vec<Record>, Error> {
        self.fetch().await?;
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
        self.assembly.network.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.master))
    }

    /// Gradients of the last step, by name, times its loss scale.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.assembly.network.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.gradient))
    }

    /// Bytes on the device.
    pub const fn memory(&self) -> Memory {
        self.assembly.memory
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is none of this name, or the number of values differs.
    pub fn set(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        match self.assembly.network.parameter(name) {
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
    /// As [`Trainer::records_async`].
    pub async fn evaluate_async(&mut self) -> Result<Evaluation, Error> {
        self.fetch().await?;
        let mut sum = 0.0;
        let mut active = vec![vec![0.0; self.spec.d_ff]; self.spec.blocks];
        for batch in 0..self.evaluations {
            self.assembly.batches.set(&self.gpu, batch);
            self.assembly.evaluation.submit(&self.gpu);
            sum += self.gpu.read_back_async(&self.assembly.tensors.loss).await?.iter().map(|v| f64::from(*v)).sum::<f64>();
            for (total, counts) in active.iter_mut().zip(&self.assembly.tensors.active) {
                let counts = self.gpu.read_back_async(counts).await?;
                total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            }
        }
        let loss = sum / (f64::from(self.evaluations) * self.terms as f64);
        let dead = |counts: &Vec<f32>| counts.iter().filter(|count| **count == 0.0).count() as f64 / counts.len() as f64;
        let (norms, scale) = (self.gpu.read_back_async(&self.assembly.tensors.norms).await?, f64::from(self.scale().await?));
        let norm = |range: &std::ops::Range<usize>| norms[range.clone()].iter().map(|v| f64::from(*v)).sum::<f64>().sqrt() / scale;
        let gradient_norms = self.assembly.network.blocks.iter().map(|block| norm(&block.range)).collect();
        Ok(Evaluation { step: self.taken, loss, dead: active.iter().map(dead).collect(), gradient_norms })
    }

    /// The loss scale of the last step.
    async fn scale(&self) -> Result<f32, Error> {
        if self.taken == 0 {
            return Ok(1.0);
        }
        // A step's line is there after a checkpoint, too.
        let line = self.assembly.tensors.history.view(((self.taken - 1) % HISTORY) as usize * LINE, &[LINE])?;
        Ok(self.gpu.read_back_async(&line).await?.get(3).copied().unwrap_or(1.0))
    }

    /// Reads what the device wrote down since the last time.
    async fn fetch(&mut self) -> Result<(), Error> {
        if self.read == self.taken {
            return Ok(());
        }
        let lines = self.gpu.read_back_async(&self.assembly.tensors.history).await?;
        let dynamic = matches!(self.options.scaling, LossScaling::Dynamic { .. });
        let mut lost = None;
        for step in self.read..self.taken {
            let line = &lines[(step % HISTORY) as usize * LINE..][..LINE];
            let record = Record { step, loss: line[0], gradient_norm: line[1], rate: line[2], scale: line[3] };
            if record.skipped() && (!dynamic || record.scale <= 1.0) {
                lost = lost.or(Some((record, line[4] as usize)));
            }
            self.pending.push(record);
        }
        self.read = self.taken;
        match lost {
            Some((record, fault)) => Err(self.not_finite(record, fault)),
            None => self.sound().await,
        }
    }

    /// Names the first gradient that was not finite, counted from 1.
    fn not_finite(&self, record: Record, fault: usize) -> Error {
        let TrainerOptions { element, hidden, scaling, .. } = self.options;
        // Each may be finite, and their sum not.
        let tensor = self.learned().get(fault.wrapping_sub(1)).map_or("all of them together", |parameter| &parameter.name).to_owned();
        let reason = format!(
            "gradients are not finite (loss {}, loss scale {}, {scaling:?}; weights and gradients in {element}, hidden in {hidden})",
            record.loss, record.scale
        );
        Error::Training { step: record.step, tensor, reason }
    }

    /// Refuses gradients that f16 cannot tell from nothing.
    async fn sound(&self) -> Result<(), Error> {
        let Some((plan, counts)) = &self.assembly.underflows else { return Ok(()) };
        plan.submit(&self.gpu);
        let counts = self.gpu.read_back_async(counts).await?;
        for (parameter, count) in self.assembly.network.parameters.iter().zip(counts.chunks_exact(2)) {
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

    /// Has no records but of the steps to come.
    pub(super) fn forget(&mut self) {
        self.read = self.taken;
        self.pending.clear();
    }

    pub(super) const fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) const fn tensors(&self) -> &Steering {
        &self.assembly.tensors
    }

    pub(super) fn learned(&self) -> &[Parameter] {
        &self.assembly.network.parameters
    }
}

/// Share of a gradient's values in f16 that may be below its normal numbers.
const MOST_UNDERFLOWING: f64 = 0.5;

/// The count of steps, as the state tensor holds it.
pub(super) fn count_of(state: &[u8]) -> Result<u32, Error> {
    let word = state.get(4 * COUNT..4 * COUNT + 4).and_then(|word| word.try_into().ok());
    let count = word.map_or(u32::MAX, u32::from_le_bytes);
    if count > MOST_STEPS {
        return Err(Error::Limit { what: "steps of a checkpoint", required: count.into(), allowed: MOST_STEPS.into() });
    }
    Ok(count)
}
