//! What a training step is made of besides the layers: random numbers, windows of a text, losses, updates of weights, and
//! the kernel that decides about them.

use bytemuck::{Pod, Zeroable};

use super::dropout::{Counter, Random};
use super::elementwise::Call;
use super::reduce;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::shader::operand::Lanes;
use crate::shader::reduce::Terms;
use crate::shader::update::{self, Update, Variant};

/// The uniform block of shaders/train/cross_entropy.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct CrossEntropyParams {
    pub fence: u32,
    pub rows: u32,
    pub classes: u32,
    pub class_stride: u32,
    pub class_start: u32,
    pub share: f32,
    pub padding: [u32; 2],
    pub offsets: [[u32; 4]; 2],
}

/// The uniform block of shaders/train/control.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub(crate) struct ControlParams {
    pub fence: u32,
    pub tensors: u32,
    pub history: u32,
    pub growth: u32,
    pub clip: f32,
    pub share: f32,
    pub log_beta1: f32,
    pub log_beta2: f32,
    pub rate: f32,
    pub minimum: f32,
    pub warm_up: u32,
    pub total: u32,
    pub offsets: [[u32; 4]; 1],
}

/// An update with these operands, all of the first one's shape but those that steer it.
fn walk(
    gpu: &Gpu,
    update: Update,
    operands: &[(&'static str, &Tensor)],
    len: usize,
    constants: [[f32; 4]; 5],
    random: Random,
) -> Result<Plan, Error> {
    let kinds: Vec<_> = operands.iter().map(|(name, tensor)| (*name, tensor.element())).collect();
    let variant = Variant { constants, ..Variant::new(update, &kinds) };
    Call { random, ..Call::flat(operands, len) }.plan(gpu, variant)
}

const NO_CONSTANTS: [[f32; 4]; 5] = [[0.0; 4]; 5];

const fn constants(first: [f32; 4], second: [f32; 4]) -> [[f32; 4]; 5] {
    [first, second, [0.0; 4], [0.0; 4], [0.0; 4]]
}

/// Random numbers into y, from stream `stream` of `seed`, as shaders/random/fill.wgsl has it: (offset, factor, width, form).
pub(crate) fn fill(gpu: &Gpu, y: &Tensor, form: [f32; 4], seed: u64, stream: u32) -> Result<Plan, Error> {
    let random = Random { seed, stream, ..Random::default() };
    walk(gpu, Update::Fill, &[("y", y)], y.len(), constants(form, [0.0; 4]), random)
}

/// x in y's kind.
pub(crate) fn convert(gpu: &Gpu, x: &Tensor, y: &Tensor) -> Result<Plan, Error> {
    y.expect_shape("y", x.shape())?;
    walk(gpu, Update::Convert, &[("x", x), ("y", y)], x.len(), NO_CONSTANTS, Random::default())
}

/// A weight (f32) with its gradient, its copy in another kind, and what the optimizer keeps of it (f32).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Updated<'a> {
    pub weight: &'a Tensor,
    pub gradient: &'a Tensor,
    pub copy: Option<&'a Tensor>,
    pub kept: &'a [Tensor],
}

impl<'a> Updated<'a> {
    fn operands(&self, names: &[&'static str], state: &'a Tensor) -> Result<Vec<(&'static str, &'a Tensor)>, Error> {
        let mut operands = vec![("weight", self.weight), ("gradient", self.gradient)];
        operands.extend(names.iter().copied().zip(self.kept));
        operands.extend(self.copy.map(|copy| ("copy", copy)));
        for (name, tensor) in &operands {
            tensor.expect_shape(name, self.weight.shape())?;
            if !matches!(*name, "gradient" | "copy") {
                tensor.expect_element(name, Element::F32)?;
            }
        }
        operands.push(("state", state));
        Ok(operands)
    }

    /// One step of gradient descent, with momentum where a velocity is kept.
    pub(crate) fn sgd(&self, gpu: &Gpu, momentum: f32, decay: f32, state: &Tensor) -> Result<Plan, Error> {
        let update = if self.kept.is_empty() { Update::Sgd } else { Update::Momentum };
        let form = constants([momentum, decay, 0.0, 0.0], [0.0; 4]);
        walk(gpu, update, &self.operands(&["velocity"], state)?, self.weight.len(), form, Random::default())
    }

    /// One step of AdamW.
    pub(crate) fn adamw(&self, gpu: &Gpu, [beta1, beta2]: [f64; 2], epsilon: f32, decay: f32, state: &Tensor) -> Result<Plan, Error> {
        let betas = [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(|v| v as f32);
        let form = constants(betas, [epsilon, decay, 0.0, 0.0]);
        walk(gpu, Update::AdamW, &self.operands(&["first", "second"], state)?, self.weight.len(), form, Random::default())
    }
}

/// Where windows of a text start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Starts {
    /// At random places of this seed and stream, others for each count.
    Random { seed: u64, stream: u32 },
    /// One after the other, so many characters apart; each count goes on where the last one ended, and round.
    Every(u32),
}

/// Windows of `text` (classes as numbers) into the rows of y.
pub(crate) fn windows(gpu: &Gpu, text: &Tensor, counter: &Counter, y: &Tensor, starts: Starts) -> Result<Plan, Error> {
    let (rows, width) = y.rows_cols();
    let places = (text.len() + 1).saturating_sub(width);
    if places == 0 {
        return Err(Error::Shape { operand: "text", expected: format!("at least {width} characters"), actual: text.shape().to_vec() });
    }
    let [rows, width, places] = [rows, width, places].map(|n| n.max(1) as u32);
    let random = match starts {
        Starts::Random { seed, stream } => Random { seed, stream, numbers: [width, places, 0], ..Random::default() },
        Starts::Every(stride) => Random { threshold: rows, numbers: [width, places, stride.max(1)], ..Random::default() },
    };
    let operands = [("text", text), ("counter", counter.tensor()), ("y", y)];
    walk(gpu, Update::Windows, &operands, y.len(), NO_CONSTANTS, random)
}

/// The first `inputs` classes of each window, as rows of y with a 1 at the class.
pub(crate) fn one_hot(gpu: &Gpu, windows: &Tensor, inputs: usize, y: &Tensor) -> Result<Plan, Error> {
    let (rows, width) = windows.rows_cols();
    let classes = y.rows_cols().1;
    y.expect_shape("y", &[rows * inputs, classes])?;
    let random = Random { numbers: [classes, width, inputs].map(|n| n.max(1) as u32), ..Random::default() };
    walk(gpu, Update::OneHot, &[("classes", windows), ("y", y)], y.len(), NO_CONSTANTS, random)
}

/// x with column c taken from column `order[c]`, words below the width of x. Rows go in as many pieces as bindings hold.
pub(crate) fn gather(gpu: &Gpu, x: &Tensor, order: &Tensor, y: &Tensor) -> Result<Plan, Error> {
    y.expect_shape("y", x.shape())?;
    let (rows, width) = x.rows_cols();
    let most = usize::try_from(Bound::max_elements(gpu, x)).unwrap_or(usize::MAX) / width.max(1);
    let random = Random { numbers: [width.max(1) as u32, 0, 0], ..Random::default() };
    let mut plan = PlanBuilder::new(gpu).finish()?;
    for first in (0..rows).step_by(most.max(1)) {
        let piece = |tensor: &Tensor| tensor.view(first * width, &[most.max(1).min(rows - first), width]);
        let (x, y) = (piece(x)?, piece(y)?);
        plan = plan.then(walk(gpu, Update::Gather, &[("source", &x), ("order", order), ("y", &y)], y.len(), NO_CONSTANTS, random)?);
    }
    Ok(plan)
}

/// The sum of the squared differences, and the gradient of their mean, scaled.
pub(crate) fn squared_error(gpu: &Gpu, x: &Tensor, target: &Tensor, dx: &Tensor, state: &Tensor, loss: &Tensor) -> Result<Plan, Error> {
    target.expect_shape("target", x.shape())?;
    dx.expect_shape("dx", x.shape())?;
    let terms = Terms::SquaredDifferences { x: x.element(), target: target.element() };
    let sum = reduce::total(gpu, &[("x", x), ("target", target)], &terms, loss)?;
    let share = (2.0 / x.len().max(1) as f64) as f32;
    let operands = [("x", x), ("target", target), ("dx", dx), ("state", state)];
    Ok(sum.then(walk(gpu, Update::SquaredError, &operands, x.len(), constants([share, 0.0, 0.0, 0.0], [0.0; 4]), Random::default())?))
}

/// Operands of the softmax cross-entropy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrossEntropy<'a> {
    /// `[rows, classes]`.
    pub logits: &'a Tensor,
    /// `[rows, ..]` f32; the last of each row is its class.
    pub windows: &'a Tensor,
    /// `[rows]` f32, written.
    pub losses: &'a Tensor,
    /// `[rows, classes]`, written.
    pub dlogits: &'a Tensor,
    pub state: &'a Tensor,
    /// Where the sum of the losses goes.
    pub loss: &'a Tensor,
}

impl CrossEntropy<'_> {
    /// The losses, their sum, and the gradient of their mean, scaled.
    pub(crate) fn plan(&self, gpu: &Gpu) -> Result<Plan, Error> {
        let Self { logits, windows, losses, dlogits, state, loss } = *self;
        let (rows, classes) = logits.rows_cols();
        let width = windows.rows_cols().1;
        windows.expect_shape("windows", &[rows, width])?;
        losses.expect_shape("losses", &[rows])?;
        dlogits.expect_shape("dlogits", logits.shape())?;
        for tensor in [logits, dlogits] {
            let (required, allowed) = (tensor.len() as u64, Bound::max_elements(gpu, tensor));
            if required > allowed {
                return Err(Error::Limit { what: "elements of logits", required, allowed });
            }
        }
        let kernel = update::cross_entropy(logits.element(), dlogits.element());
        let mut params = CrossEntropyParams {
            fence: 0,
            rows: rows as u32,
            classes: classes as u32,
            class_stride: width as u32,
            class_start: width.saturating_sub(1) as u32,
            share: 1.0 / rows.max(1) as f32,
            padding: [0; 2],
            offsets: [[0; 4]; 2],
        };
        let bounds = bind(gpu, &[logits, windows, state, losses, dlogits], params.offsets.as_flattened_mut());
        let mut builder = PlanBuilder::new(gpu);
        builder.push(&kernel, bytemuck::bytes_of(&params), bounds, (rows as u64).div_ceil(64))?;
        Ok(builder.finish()?.then(reduce::total(gpu, &[("x", losses)], &Terms::Values(Element::F32), loss)?))
    }
}

/// Binds whole tensors, element by element, and notes their offsets.
fn bind(gpu: &Gpu, tensors: &[&Tensor], offsets: &mut [u32]) -> Vec<Bound> {
    let tensors: Vec<_> = tensors.iter().map(|tensor| (*tensor, Lanes::One)).collect();
    bind_units(gpu, &tensors, offsets)
}

/// The same in units of so many elements each.
pub(super) fn bind_units(gpu: &Gpu, tensors: &[(&Tensor, Lanes)], offsets: &mut [u32]) -> Vec<Bound> {
    let bound = tensors.iter().map(|(tensor, lanes)| Bound::whole(gpu, tensor, *lanes));
    bound
        .zip(offsets)
        .map(|((bound, place), offset)| {
            *offset = place;
            bound
        })
        .collect()
}

/// What happens between gradients and updates; see shaders/train/control.wgsl.
pub(crate) fn control(gpu: &Gpu, mut params: ControlParams, tensors: [&Tensor; 4]) -> Result<Plan, Error> {
    let bounds = bind(gpu, &tensors, params.offsets.as_flattened_mut());
    let mut builder = PlanBuilder::new(gpu);
    builder.push(&update::control(), bytemuck::bytes_of(&params), bounds, 1)?;
    builder.finish()
}

/// The sum of the squares of a tensor, in f32, into `out`'s only element.
pub(crate) fn squares(gpu: &Gpu, x: &Tensor, out: &Tensor) -> Result<Plan, Error> {
    reduce::total(gpu, &[("x", x)], &Terms::Squares(x.element()), out)
}

/// How often each column of x is not 0, in f32, into `out`.
pub(crate) fn non_zeros(gpu: &Gpu, x: &Tensor, out: &Tensor) -> Result<Plan, Error> {
    reduce::columns(gpu, x, &Terms::NonZeros(x.element()), out, false)
}

/// Of the values that are not 0: how many there are, and how many are smaller than the smallest normal f16.
pub(crate) fn underflows(gpu: &Gpu, x: &Tensor, out: &Tensor) -> Result<Plan, Error> {
    reduce::total(gpu, &[("x", x)], &Terms::Underflows(x.element()), out)
}
