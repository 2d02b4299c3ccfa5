//! Gradients of a mixture of experts, from its input and its weights.

use super::bound::SharedRows;
use super::pass::{Cut, Form, Pass};
use super::{Mixture, MixtureLayer};
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Plan, PlanBuilder, Tensor};
use crate::nn::FeedForwardBackward;
use crate::ops::mixture::{Choices, CombineArgs, Order, Sizes, shared_gradient};
use crate::ops::{GateInput, Gated, GatedForward, LinearArgs, Weights};
use crate::shader::matmul::{Experts, Products};
use crate::tuning::Strategy;

/// Operands of a mixture's backward pass.
#[derive(Debug, Clone, Copy)]
pub struct MixtureBackward<'a> {
    /// Input of the forward pass, `[.., d_model]`.
    pub x: &'a Tensor,
    /// Gradient of y, of x's shape, in any kind.
    pub dy: &'a Tensor,
    /// Gradient of x, of its shape, in any kind; it is overwritten. `None` where nobody needs it.
    pub dx: Option<&'a Tensor>,
    /// Gradients of the weights, in a mixture of the same form, kinds being free; [`Mixture::gradients`] makes one. What it
    /// says of routing, gate and the bias of the choice, which has no gradient, is not read.
    pub gradients: &'a MixtureLayer,
    /// Whether gradients of weights are added to what is there; else they overwrite it.
    pub accumulate: bool,
}

impl<'a> MixtureBackward<'a> {
    /// No dx, nothing accumulated.
    pub const fn new(x: &'a Tensor, dy: &'a Tensor, gradients: &'a MixtureLayer) -> Self {
        Self { x, dy, dx: None, gradients, accumulate: false }
    }
}

/// A backward pass with its operands as rows, and where gradients meet.
struct Backward<'a> {
    x: Tensor,
    dy: Tensor,
    gradients: &'a MixtureLayer,
    accumulate: bool,
    choices: Choices,
    dweights: Tensor,
    /// Where dx is added up, in f32: what is rounded is the sum.
    dx: Option<Tensor>,
}

/// The products of rows in a backward pass, each with what computes it.
struct RowProducts {
    z: (Form, Strategy),
    out_of: (Form, Strategy),
    dhidden: (Form, Strategy),
    dx: (Form, Strategy),
}

impl Mixture {
    /// Zeros for the gradients of the weights, in f32.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn gradients(&self) -> Result<MixtureLayer, Error> {
        let learned = MixtureLayer { choice_bias: None, ..self.layer.clone() };
        learned.map(|matrix| self.gpu.zeros(matrix.shape(), Element::F32))
    }

    /// The gradients of `sum(dy * y)`, the same bits on every run, from x alone: routing and what lies between the products
    /// are computed again. All sums are in f32. Which experts are chosen has no gradient; their weights have.
    ///
    /// The plan keeps all that lies between ([`Plan::scratch_bytes`]).
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; gradients of another form than the mixture; parameters
    /// for which the gate is undefined; a fixed strategy that the device or the products do not allow.
    pub fn backward(&self, args: MixtureBackward<'_>) -> Result<Plan, Error> {
        self.fits(&args)?;
        let gpu = &self.gpu;
        let rows = |name, of: &Tensor| self.rows(name, of);
        let (x, dy, dx) = (rows("x", args.x)?, rows("dy", args.dy)?, args.dx.map(|dx| rows("dx", dx)).transpose()?);
        let tokens = x.rows_cols().0;
        let zeros = |shape: &[usize]| gpu.zeros(shape, Element::F32);
        let choices = self.choices(tokens)?;
        let (dweights, dlogits) = (zeros(choices.weights.shape())?, zeros(choices.logits.shape())?);
        let sum = dx.as_ref().map(|dx| zeros(dx.shape())).transpose()?;
        let own = [&choices.logits, &choices.experts, &choices.weights, &dweights, &dlogits];
        let scratch: u64 = own.into_iter().chain(&sum).map(|tensor| tensor.buffer().size()).sum();
        let gradients = args.gradients;
        let pass = Backward { x, dy, gradients, accumulate: args.accumulate, choices, dweights, dx: sum };
        let (shared, dx_shared) = self.shared_backward(&pass)?;
        let mut plan = self.route(&pass.x, &pass.choices)?.then(shared);
        plan = plan.then(self.experts_backward(&pass, dx_shared.as_ref())?);
        plan = plan.then(pass.choices.gradient(gpu, &self.layer.routing, &pass.dweights, &dlogits)?);
        plan = plan.then(self.weight_gradient(&pass, &dlogits, &gradients.router, gradients.router_bias.as_ref())?);
        if let (Some(dx), Some(sum)) = (&dx, &pass.dx) {
            plan = plan.then(self.back(&dlogits, &self.layer.router, sum, dx)?);
        }
        Ok(plan.with_scratch(scratch))
    }

    /// dW = d^T x, and the sums of d's columns.
    fn weight_gradient(&self, pass: &Backward<'_>, d: &Tensor, dw: &Tensor, sums: Option<&Tensor>) -> Result<Plan, Error> {
        let args = LinearArgs { transposed: [true, true], ..LinearArgs::new(d, Weights::plain(&pass.x), dw) };
        self.linear(LinearArgs { residual: pass.accumulate.then_some(dw), sums, ..args })
    }

    /// out = d w + sum.
    fn back(&self, d: &Tensor, w: &Tensor, sum: &Tensor, out: &Tensor) -> Result<Plan, Error> {
        self.linear(LinearArgs { transposed: [false, true], residual: Some(sum), ..LinearArgs::new(d, Weights::plain(w), out) })
    }

    /// The gradients of the shared expert, and its share of dx.
    fn shared_backward(&self, pass: &Backward<'_>) -> Result<(Plan, Option<Tensor>), Error> {
        let gpu = &self.gpu;
        let empty = PlanBuilder::new(gpu).finish()?;
        let own = self.layer.shared.as_ref().zip(pass.gradients.shared.as_ref()).zip(self.layer.shared_layer(gpu));
        let Some(((shared, gradients), layer)) = own else { return Ok((empty, None)) };
        let layer = layer.with_tuning(self.tuning);
        let zeros = |like: &Tensor| gpu.zeros(like.shape(), Element::F32);
        let dx = pass.dx.as_ref().map(zeros).transpose()?;
        let through = |dy: &Tensor| {
            let args = FeedForwardBackward::new(&pass.x, dy, &gradients.layer);
            layer.backward(FeedForwardBackward { dx: dx.as_ref(), accumulate: pass.accumulate, ..args })
        };
        let (Some(gate), Some(dgate)) = (&shared.gate, &gradients.gate) else {
            let scratch = dx.as_ref().map_or(0, |dx| dx.buffer().size());
            return Ok((through(&pass.dy)?.with_scratch(scratch), dx));
        };
        let (again, Some(SharedRows { y, sigmoids: Some(sigmoids) })) = self.shared(&pass.x)? else { return Ok((empty, None)) };
        let (dshared, dsigmoids) = (zeros(&y)?, zeros(&sigmoids)?);
        let scratch: u64 = [&dshared, &dsigmoids].into_iter().chain(&dx).map(|tensor| tensor.buffer().size()).sum();
        let mut plan = again.then(shared_gradient(gpu, &pass.dy, [&y, &sigmoids, &dshared, &dsigmoids])?);
        plan = plan.then(through(&dshared)?).then(self.weight_gradient(pass, &dsigmoids, dgate, None)?);
        if let Some(dx) = &dx {
            plan = plan.then(self.back(&dsigmoids, gate, dx, dx)?);
        }
        Ok((plan.with_scratch(scratch), dx))
    }

    /// What computes the products of rows.
    fn backward_products(&self, x: Element, rows: usize) -> Result<RowProducts, Error> {
        let ([_, d_model, d_ff], layer) = (self.layer.sizes(), &self.layer);
        let (into, out_of) = (layer.w_gate.kind(), layer.w_down.kind());
        let z = Form { experts: Experts::Rows { gathered: true }, kinds: (x, into, Element::F32), ..Form::new([d_ff, d_model], into) };
        let dhidden = Form { transposed: true, ..Form::new([d_ff, d_model], out_of) };
        let dx = Form { transposed: true, ..Form::new([d_model, d_ff], into) };
        let with = |form: Form| Ok::<_, Error>((form, form.strategy(self, rows)?));
        Ok(RowProducts { z: with(z)?, out_of: with(Form::new([d_model, d_ff], out_of))?, dhidden: with(dhidden)?, dx: with(dx)? })
    }

    /// The gradients of the experts' weights, of the weights of choices, and dx with the shared expert's share.
    fn experts_backward(&self, pass: &Backward<'_>, dx_shared: Option<&Tensor>) -> Result<Plan, Error> {
        let (gpu, layer, [experts, d_model, d_ff]) = (&self.gpu, &self.layer, self.layer.sizes());
        let (w_gate, w_up, w_down) = (layer.w_gate.plain()?, layer.w_up.plain()?, layer.w_down.plain()?);
        let gradients = pass.gradients;
        let (dw_gate, dw_up, dw_down) = (gradients.w_gate.plain()?, gradients.w_up.plain()?, gradients.w_down.plain()?);
        let top_k = layer.routing.top_k;
        let tokens = pass.x.rows_cols().0;
        let each = (tokens * top_k).div_ceil(experts).max(1);
        let products = self.backward_products(pass.x.element(), each)?;
        let cut = Cut::new(self, tokens, &[products.z.1, products.out_of.1, products.dhidden.1, products.dx.1]);
        let zeros = |width: usize| gpu.zeros(&[cut.rows, width], Element::F32);
        let own = [zeros(d_ff)?, zeros(d_ff)?, zeros(d_ff)?, zeros(d_model)?, zeros(d_model)?];
        let mut plan = PlanBuilder::new(gpu).finish()?;
        for (first, tokens) in cut.parts(tokens) {
            let part = |of: &Tensor| of.view(first * of.rows_cols().1, &[tokens, of.rows_cols().1]);
            let (x, dy, dweights, choices) = (part(&pass.x)?, part(&pass.dy)?, part(&pass.dweights)?, pass.choices.part(first, tokens)?);
            let (dx, dx_shared) = (pass.dx.as_ref().map(part).transpose()?, dx_shared.map(part).transpose()?);
            let sizes = Sizes { tokens, experts, top_k };
            let order = Order::new(gpu, sizes, cut.block, sizes.rows(cut.block))?;
            let groups = order.groups.clone();
            let view = |of: &Tensor| of.view(0, &[groups.rows, of.rows_cols().1]);
            let [gate, up, hidden, out, dout] = [view(&own[0])?, view(&own[1])?, view(&own[2])?, view(&own[3])?, view(&own[4])?];
            let mut steps = Pass::new(self, &groups);
            let (b_gate, b_up) = layer.biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
            for (weight, bias, z) in [(w_gate, b_gate, &gate), (w_up, b_up, &up)] {
                let operands = [("a", Some(&x)), ("b", Some(weight)), ("bias", bias), ("out", Some(z))];
                steps.product(products.z.0, products.z.1, &operands);
            }
            let between = Gated::new(gpu, layer.gate.clone());
            let input = GateInput::Separate { gate: &gate, up: &up };
            steps.plan(between.forward(GatedForward { input, y: &hidden, bias: None, parameters: None })?);
            let operands = [("a", Some(&hidden)), ("b", Some(w_down)), ("bias", layer.b_down.as_ref()), ("out", Some(&out))];
            steps.product(products.out_of.0, products.out_of.1, &operands);
            steps.plan(order.weights_gradient(gpu, &dy, &out, &dweights)?);
            steps.plan(order.spread(gpu, &dy, &choices.weights, &dout)?);
            let operands = [("a", Some(&dout)), ("b", Some(w_down)), ("out", Some(&hidden))];
            steps.product(products.dhidden.0, products.dhidden.1, &operands);
            // Gate and up become their gradients, and that of hidden becomes hidden.
            steps.plan(between.joint([&gate, &up], &hidden, None)?);
            let accumulate = pass.accumulate || first > 0;
            let (db_gate, db_up) = pass.gradients.biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
            for (d, with, dw, db, gathered) in [
                (&dout, &hidden, dw_down, pass.gradients.b_down.as_ref(), false),
                (&gate, &x, dw_gate, db_gate, true),
                (&up, &x, dw_up, db_up, true),
            ] {
                let form = Form {
                    products: if db.is_some() { Products::Summed } else { Products::One },
                    experts: Experts::Depth { gathered },
                    kinds: (Element::F32, with.element().into(), dw.element()),
                    ..Form::new([with.rows_cols().1, d.rows_cols().1], with.element().into())
                };
                let operands = [("a", Some(d)), ("b", Some(with)), ("out", Some(dw)), ("sums", db), ("residual", accumulate.then_some(dw))];
                steps.product(form, form.strategy(self, each)?, &operands);
            }
            if let Some(dx) = &dx {
                for (d, weight, sum) in [(&gate, w_gate, None), (&up, w_up, Some(&out))] {
                    let operands = [("a", Some(d)), ("b", Some(weight)), ("out", Some(&out)), ("residual", sum)];
                    steps.product(products.dx.0, products.dx.1, &operands);
                }
                let shared = dx_shared.as_ref().map(|shared| (shared, None));
                steps.plan(order.combine(gpu, &CombineArgs { rows: &out, weights: None, shared, y: dx })?);
            }
            plan = plan.then(steps.finish(order, &choices)?);
        }
        Ok(plan.with_scratch(own.iter().map(|tensor| tensor.buffer().size()).sum()))
    }

    /// Refuses gradients of another form, and what is written where it would destroy what is read or something else that is
    /// written.
    fn fits(&self, args: &MixtureBackward<'_>) -> Result<(), Error> {
        args.dy.expect_shape("dy", args.x.shape())?;
        args.dx.map_or(Ok(()), |dx| dx.expect_shape("dx", args.x.shape()))?;
        fn learned(layer: &MixtureLayer) -> Result<Vec<(String, &Tensor)>, Error> {
            let all = layer.named().into_iter().filter(|(name, _)| name != "choice_bias");
            all.map(|(name, matrix)| Ok((name, matrix.plain()?))).collect()
        }
        let (weights, gradients) = (learned(&self.layer)?, learned(args.gradients)?);
        if !weights.iter().map(|(name, _)| name).eq(gradients.iter().map(|(name, _)| name)) {
            return Err(Error::Unsupported { function: "a mixture".into(), what: "gradients of another form" });
        }
        for ((_, weight), (_, gradient)) in weights.iter().zip(&gradients) {
            gradient.expect_shape("gradient of a weight", weight.shape())?;
        }
        let inputs = weights.iter().map(|(_, tensor)| ("a weight", *tensor)).chain([("x", args.x), ("dy", args.dy)]);
        let outputs = gradients.iter().map(|(_, tensor)| ("gradient of a weight", *tensor)).chain(args.dx.map(|dx| ("dx", dx)));
        let (inputs, outputs): (Vec<_>, Vec<_>) = (inputs.collect(), outputs.collect());
        for (i, (output, tensor)) in outputs.iter().enumerate() {
            if let Some((input, _)) = inputs.iter().chain(&outputs[..i]).find(|(_, other)| other.overlaps(tensor)) {
                return Err(Error::Alias { input, output });
            }
        }
        Ok(())
    }
}
