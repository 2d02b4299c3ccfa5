//! A mixture bound to the tensors of a call.

use super::Mixture;
use super::pass::{Cut, Form, Pass};
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Matrix, Plan, PlanBuilder, Tensor};
use crate::nn::FeedForwardArgs;
use crate::nn::bound::bytes_once;
use crate::ops::mixture::{Choices, CombineArgs, Order, Sizes};
use crate::ops::{LinearArgs, Weights};
use crate::shader::matmul::{Experts, Products};
use crate::tuning::Strategy;

/// A [`Mixture`] bound to an x and a y, with all that lies between. It may be recorded as often as there are new numbers in
/// x; recording allocates nothing, and nothing is read back.
#[derive(Debug)]
pub struct BoundMixture {
    plan: Plan,
    choices: Choices,
    counts: Tensor,
    bytes: u64,
}

/// The shared expert's share of a call.
#[derive(Debug)]
pub(super) struct SharedRows {
    /// `[tokens, d_model]`.
    pub y: Tensor,
    /// `[tokens, 1]`, what its sigmoid is of.
    pub sigmoids: Option<Tensor>,
}

impl SharedRows {
    fn part(&self, first: usize, tokens: usize) -> Result<Self, Error> {
        let rows = |of: &Tensor| of.view(first * of.rows_cols().1, &[tokens, of.rows_cols().1]);
        Ok(Self { y: rows(&self.y)?, sigmoids: self.sigmoids.as_ref().map(rows).transpose()? })
    }
}

impl Mixture {
    /// Checks and binds the mixture for one x, `[.., d_model]`, and one y, of the same shape in any kind, which may be x.
    /// Where tokens are so many that something would exceed a limit of the device, they are computed in parts.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which the gate is undefined; a fixed
    /// strategy that the device or the product does not allow; [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn bind(&self, x: &Tensor, y: &Tensor) -> Result<BoundMixture, Error> {
        y.expect_shape("y", x.shape())?;
        let weights: Vec<_> = self.layer.named().into_iter().map(|(_, matrix)| matrix.memory()).collect();
        if weights.iter().any(|weight| weight.overlaps(y)) {
            return Err(Error::Alias { input: "a weight", output: "y" });
        }
        if x.overlaps(y) && !x.same_elements(y) {
            return Err(Error::Alias { input: "x", output: "y" });
        }
        let tensors: Vec<_> = weights.iter().copied().chain([x, y]).collect();
        let bytes = bytes_once(&tensors);
        let (x, y) = (self.rows("x", x)?, self.rows("y", y)?);
        let tokens = x.rows_cols().0;
        let (choices, counts) = (self.choices(tokens)?, self.gpu.zeros(&[self.experts()], Element::F32)?);
        let mut plan = self.route(&x, &choices)?.then(choices.count(&self.gpu, &counts)?);
        let own = [&choices.logits, &choices.experts, &choices.weights, &counts].map(|tensor| tensor.buffer().size());
        let (shared_plan, shared) = self.shared(&x)?;
        plan = plan.then(shared_plan).then(self.experts_of(&x, &choices, shared.as_ref(), &y)?).with_scratch(own.iter().sum());
        let bytes = bytes + plan.scratch_bytes();
        Ok(BoundMixture { plan, choices, counts, bytes })
    }

    /// The shared expert of every row, and what its sigmoid is of.
    pub(super) fn shared(&self, x: &Tensor) -> Result<(Plan, Option<SharedRows>), Error> {
        let empty = PlanBuilder::new(&self.gpu).finish()?;
        let (Some(shared), Some(layer)) = (&self.layer.shared, self.layer.shared_layer(&self.gpu)) else { return Ok((empty, None)) };
        let layer = layer.with_tuning(self.tuning);
        let tokens = x.rows_cols().0;
        let (hidden, y) = (layer.hidden(x)?, self.gpu.zeros(x.shape(), Element::F32)?);
        let mut plan = layer.plan(FeedForwardArgs { x, hidden: &hidden, y: &y })?;
        let mut scratch = hidden.buffer().size() + y.buffer().size();
        let sigmoids = match &shared.gate {
            Some(gate) => {
                let sigmoids = self.gpu.zeros(&[tokens, 1], Element::F32)?;
                plan = plan.then(self.linear(LinearArgs::new(x, Weights::plain(gate), &sigmoids))?);
                scratch += sigmoids.buffer().size();
                Some(sigmoids)
            }
            None => None,
        };
        Ok((plan.with_scratch(scratch), Some(SharedRows { y, sigmoids })))
    }

    /// Into hidden, and out of it.
    fn forms(&self, x: Element) -> [Form; 2] {
        let [_, d_model, d_ff] = self.layer.sizes();
        let into = Form {
            products: Products::GateUp,
            experts: Experts::Rows { gathered: true },
            kinds: (x, self.layer.w_gate.kind(), self.hidden),
            ..Form::new([d_ff, d_model], self.layer.w_gate.kind())
        };
        let out_of =
            Form { kinds: (self.hidden, self.layer.w_down.kind(), Element::F32), ..Form::new([d_model, d_ff], self.layer.w_down.kind()) };
        [into, out_of]
    }

    /// y of rows whose experts are chosen.
    fn experts_of(&self, x: &Tensor, choices: &Choices, shared: Option<&SharedRows>, y: &Tensor) -> Result<Plan, Error> {
        let (gpu, [experts, d_model, d_ff]) = (&self.gpu, self.layer.sizes());
        let tokens = x.rows_cols().0;
        let forms = self.forms(x.element());
        let top_k = self.layer.routing.top_k;
        let rows = (tokens * top_k).div_ceil(experts).max(1);
        let strategies: Vec<Strategy> = forms.iter().map(|form| form.strategy(self, rows)).collect::<Result<_, _>>()?;
        if !strategies[0].fused && self.hidden != Element::F32 {
            // Up is kept where hidden will be.
            return Err(Error::Kind { operand: "hidden of unfused products", expected: Element::F32, actual: self.hidden });
        }
        let cut = Cut::new(self, tokens, &strategies);
        let hidden = gpu.zeros(&[cut.rows, d_ff], self.hidden)?;
        let out = gpu.zeros(&[cut.rows, d_model], Element::F32)?;
        let mut plan = PlanBuilder::new(gpu).finish()?;
        for (first, tokens) in cut.parts(tokens) {
            let part = |of: &Tensor| of.view(first * d_model, &[tokens, d_model]);
            let (x, y, choices) = (part(x)?, part(y)?, choices.part(first, tokens)?);
            let shared = shared.map(|shared| shared.part(first, tokens)).transpose()?;
            let sizes = Sizes { tokens, experts, top_k };
            let order = Order::new(gpu, sizes, cut.block, sizes.rows(cut.block))?;
            let groups = order.groups.clone();
            let (hidden, out) = (hidden.view(0, &[groups.rows, d_ff])?, out.view(0, &[groups.rows, d_model])?);
            let layer = &self.layer;
            let (b_gate, b_up) = layer.biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
            let mut pass = Pass::new(self, &groups);
            let into = [
                ("a", Some(&x)),
                ("b", Some(Matrix::from(&layer.w_gate).memory())),
                ("b_up", Some(Matrix::from(&layer.w_up).memory())),
                ("out", Some(&hidden)),
            ];
            pass.product(forms[0], strategies[0], &[into.as_slice(), &[("bias", b_gate), ("bias_up", b_up)]].concat());
            let out_of = [
                ("a", Some(&hidden)),
                ("b", Some(Matrix::from(&layer.w_down).memory())),
                ("out", Some(&out)),
                ("bias", layer.b_down.as_ref()),
            ];
            pass.product(forms[1], strategies[1], &out_of);
            let shared = shared.as_ref().map(|shared| (&shared.y, shared.sigmoids.as_ref()));
            pass.plan(order.combine(gpu, &CombineArgs { rows: &out, weights: Some(&choices.weights), shared, y: &y })?);
            plan = plan.then(pass.finish(order, &choices)?);
        }
        Ok(plan.with_scratch(hidden.buffer().size() + out.buffer().size()))
    }
}

impl BoundMixture {
    /// Appends one compute pass. It never submits, waits, maps or allocates.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        self.plan.record(encoder);
    }

    /// Appends to the caller's pass.
    pub fn record_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.plan.record_in(pass);
    }

    /// Records into an encoder of its own and submits that.
    pub fn submit(&self, gpu: &Gpu) {
        self.plan.submit(gpu);
    }

    /// The dispatches.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The router's logits after a run, `[tokens, experts]` f32.
    pub const fn logits(&self) -> &Tensor {
        &self.choices.logits
    }

    /// The numbers of the experts that each token went to, `[tokens, top_k]` f32, the best first.
    pub const fn experts(&self) -> &Tensor {
        &self.choices.experts
    }

    /// Their weights, `[tokens, top_k]` f32.
    pub const fn weights(&self) -> &Tensor {
        &self.choices.weights
    }

    /// How many tokens went to each expert, `[experts]` f32.
    pub const fn counts(&self) -> &Tensor {
        &self.counts
    }

    /// Bytes of GPU memory: weights + x + y + all that lies between ([`Plan::scratch_bytes`]). A tensor that is used twice
    /// counts once.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
