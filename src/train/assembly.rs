//! A network bound to its data: every tensor, and the plans of a step and of an evaluation.

use super::memory::Memory;
use super::network::{Block, Network, NetworkSpec};
use super::options::TrainerOptions;
use super::parameter::Parameter;
use super::task::{Edge, Ends, Task};
use super::trainer::{HISTORY, LINE, STATE};
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, PlanBuilder, Tensor};
use crate::nn::{FeedForward, FeedForwardArgs, FeedForwardBackward, FeedForwardTraining, Workspace};
use crate::ops::Counter;
use crate::ops::steps;
use crate::sizing::Policy;

/// Small tensors that steer steps and tell of them.
#[derive(Debug)]
pub(super) struct Steering {
    pub state: Tensor,
    pub history: Tensor,
    /// Sums of squares of the gradients.
    pub norms: Tensor,
    /// Sum of a batch's losses.
    pub loss: Tensor,
    /// How often each hidden unit was not 0 in a validation batch, by block.
    pub active: Vec<Tensor>,
}

impl Steering {
    fn all(&self) -> impl Iterator<Item = &Tensor> {
        let Self { state, history, norms, loss, active } = self;
        [state, history, norms, loss].into_iter().chain(active)
    }
}

/// Bytes of buffers.
fn size<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> u64 {
    tensors.map(|tensor| tensor.buffer().size()).sum()
}

/// Everything that lies on the device.
#[derive(Debug)]
pub(super) struct Assembly {
    pub network: Network,
    pub step: Plan,
    /// What one validation batch does.
    pub evaluation: Plan,
    /// Of validation batches.
    pub batches: Counter,
    pub tensors: Steering,
    /// Of every gradient: values that are not 0, and those of them that f16 holds badly. Where gradients are f16.
    pub underflows: Option<(Plan, Tensor)>,
    pub memory: Memory,
}

/// What flows between blocks.
struct Flow {
    /// Inputs of the blocks, and the last output.
    xs: Vec<Tensor>,
    /// Gradients, taking turns: that of input k is number k % 2. One is enough where that of the first input is not needed
    /// and there is one block.
    dxs: Vec<Tensor>,
    workspace: Workspace,
}

impl Assembly {
    pub(super) fn new(gpu: &Gpu, spec: &NetworkSpec, task: &Task, options: &TrainerOptions) -> Result<Self, Error> {
        spec.check()?;
        options.check()?;
        let ends = task.ends(spec)?;
        let (rows, f32s) = (task.rows(spec), |shape: &[usize]| gpu.zeros(shape, Element::F32));
        let state = f32s(&[STATE])?;
        let (counter, batches) = (Counter::of(&state)?, Counter::new(gpu, 0)?);
        let network = Network::new(gpu, spec, &ends, options, &counter)?;
        let active = network.blocks.iter().map(|_| f32s(&[spec.d_ff])).collect::<Result<_, _>>()?;
        let (norms, history) = (f32s(&[network.parameters.len()])?, f32s(&[HISTORY as usize, LINE])?);
        let tensors = Steering { state, history, norms, loss: f32s(&[1])?, active };
        let flow = Flow::new(gpu, spec, rows, &network, options, !ends.is_empty())?;
        let edge = Edge {
            x: &flow.xs[0],
            dx: flow.dx(0),
            y: &flow.xs[spec.blocks],
            dy: flow.dx(spec.blocks),
            state: &tensors.state,
            counters: [&counter, &batches],
            loss: &tensors.loss,
        };
        let Ends { prepare: [prepare, validation], loss: [back, measure], last, tensors: of_task } =
            Ends::new(gpu, task, &network, options, &edge)?;

        let (mut step, mut evaluation) = (prepare, validation);
        let mut backward = PlanBuilder::new(gpu).finish()?;
        let mut kept = 0;
        for (k, block) in network.blocks.iter().enumerate() {
            // Nothing learned lies before the first block of a regression.
            let bound = flow.train(k, block, spec, options.policy, k > 0 || !ends.is_empty())?;
            kept += bound.kept_bytes();
            let (forward, back) = bound.into_plans();
            step = step.then(forward);
            backward = back.then(backward);
            let hidden = flow.workspace.hidden(rows, &block.layer)?;
            let args = FeedForwardArgs { x: &flow.xs[k], hidden: &hidden, y: &flow.xs[k + 1] };
            evaluation = evaluation.then(block.layer.evaluate(args, spec.residual)?);
            evaluation = evaluation.then(steps::non_zeros(gpu, &hidden, &tensors.active[k])?);
        }
        step = step.then(back).then(backward).then(last);
        step = step.then(network.update(gpu, options, task.terms(spec), &tensors)?);
        evaluation = evaluation.then(measure);
        let underflows = if options.element == Element::F16 { Some(underflows(gpu, &network.parameters)?) } else { None };

        let plans = [Some(&step), Some(&evaluation), underflows.as_ref().map(|(plan, _)| plan)];
        let counts = underflows.as_ref().map(|(_, counts)| counts);
        let steering = tensors.all().chain([batches.tensor()]).chain(counts);
        let memory = Memory {
            activations: size(flow.xs.iter().chain(&flow.dxs)),
            kept,
            workspace: flow.workspace.bytes(),
            task: size(of_task.iter()),
            steering: size(steering),
            scratch: plans.into_iter().flatten().map(Plan::scratch_bytes).sum(),
            parameters: plans.into_iter().flatten().map(Plan::parameter_bytes).sum(),
            ..network.memory()
        };
        Ok(Self { network, step, evaluation, batches, tensors, underflows, memory })
    }
}

impl Flow {
    fn new(gpu: &Gpu, spec: &NetworkSpec, rows: usize, network: &Network, options: &TrainerOptions, first: bool) -> Result<Self, Error> {
        let layers: Vec<&FeedForward> = network.blocks.iter().map(|block| &block.layer).collect();
        let some = |count: usize| (0..count).map(|_| gpu.zeros(&[rows, spec.d_model], options.element)).collect::<Result<_, _>>();
        let workspace = Workspace::new(&layers, rows, options.policy, options.element)?;
        Ok(Self { xs: some(spec.blocks + 1)?, dxs: some((spec.blocks + usize::from(first)).min(2))?, workspace })
    }

    /// The gradient of input k, or of the last output.
    fn dx(&self, k: usize) -> &Tensor {
        &self.dxs[k % self.dxs.len()]
    }

    /// Block k between its tensors.
    fn train(&self, k: usize, block: &Block, spec: &NetworkSpec, policy: Policy, dx: bool) -> Result<crate::nn::BoundTraining, Error> {
        let backward = FeedForwardBackward {
            dx: dx.then_some(self.dx(k)),
            dparameters: block.dparameters.as_ref(),
            residual: spec.residual,
            ..FeedForwardBackward::new(&self.xs[k], self.dx(k + 1), &block.gradients)
        };
        block.layer.train(FeedForwardTraining { y: &self.xs[k + 1], backward, policy, workspace: &self.workspace })
    }
}

impl Network {
    /// Bytes of what is learned, and of what belongs to it.
    fn memory(&self) -> Memory {
        let gradients = size(self.parameters.iter().map(|parameter| &parameter.gradient));
        let optimizer = size(self.parameters.iter().flat_map(|parameter| &parameter.kept));
        let weights = size(self.parameters.iter().flat_map(Parameter::tensors)) - gradients - optimizer;
        Memory { weights, gradients, optimizer, ..Memory::default() }
    }

    /// From the gradients on: their norms, what becomes of the step, and the new weights.
    fn update(&self, gpu: &Gpu, options: &TrainerOptions, terms: usize, tensors: &Steering) -> Result<Plan, Error> {
        let Steering { state, history, norms, loss, .. } = tensors;
        let mut plan = PlanBuilder::new(gpu).finish()?;
        for (k, parameter) in self.parameters.iter().enumerate() {
            plan = plan.then(steps::squares(gpu, &parameter.gradient, &norms.view(k, &[1])?)?);
        }
        let params = options.control(self.parameters.len(), terms);
        plan = plan.then(steps::control(gpu, params, [norms, loss, state, history])?);
        for parameter in &self.parameters {
            plan = plan.then(parameter.update(gpu, options.optimizer, state)?);
        }
        Ok(plan)
    }
}

/// Counts what underflows in each gradient in f16; those of learned activation parameters are f32.
fn underflows(gpu: &Gpu, parameters: &[Parameter]) -> Result<(Plan, Tensor), Error> {
    let counts = gpu.zeros(&[parameters.len(), 2], Element::F32)?;
    let mut plan = PlanBuilder::new(gpu).finish()?;
    for (k, parameter) in parameters.iter().enumerate().filter(|(_, parameter)| parameter.gradient.element() == Element::F16) {
        plan = plan.then(steps::underflows(gpu, &parameter.gradient, &counts.view(2 * k, &[2])?)?);
    }
    Ok((plan, counts))
}
