//! Gradients of a feed-forward layer, from its input, its weights, and what its activation or gate was applied to.

use super::between::Between;
use super::feed_forward::{FeedForward, Layer};
use super::workspace::Workspace;
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Plan, PlanBuilder, Tensor, Weight};
use crate::ops::{Linear, LinearArgs, Weights};
use crate::sizing::Policy;

/// Operands of a backward pass.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardBackward<'a> {
    /// Input of the forward pass, `[.., d_model]`.
    pub x: &'a Tensor,
    /// Gradient of y, of x's shape, in any kind.
    pub dy: &'a Tensor,
    /// Gradient of x, of its shape, in any kind; it is overwritten. `None` where nobody needs it. It may not share memory with
    /// x or dy, nor may the gradients with the weights.
    pub dx: Option<&'a Tensor>,
    /// Gradients of the weights, in a layer of the same form, kinds being free; [`FeedForward::gradients`] makes one. What
    /// it says of activation or gate is not read.
    pub gradients: &'a Layer,
    /// Gradients of the learned parameters, f32, shaped like them. `None` where there are none, or where nobody needs them.
    pub dparameters: Option<&'a Tensor>,
    /// Whether gradients of weights and parameters are added to what is there; else they overwrite it.
    pub accumulate: bool,
    /// Whether x was added to the result, y = x + layer(x), so that dy is added to dx.
    pub residual: bool,
}

impl<'a> FeedForwardBackward<'a> {
    /// No dx, nothing learned, nothing accumulated, nothing added.
    pub const fn new(x: &'a Tensor, dy: &'a Tensor, gradients: &'a Layer) -> Self {
        Self { x, dy, dx: None, gradients, dparameters: None, accumulate: false, residual: false }
    }
}

impl FeedForward {
    /// Zeros for the gradients of the weights, in f32.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn gradients(&self) -> Result<Layer, Error> {
        self.layer().map(|tensor| self.gpu().zeros(tensor.shape(), Element::F32))
    }

    /// The gradients of `sum(dy * y)`, the same bits on every run, from x alone: what lies between the products is computed
    /// again. All sums are in f32. [`FeedForward::train`] binds forward and backward together, and can keep what lies between.
    ///
    /// The plan keeps a [`Workspace`] of its own ([`Plan::scratch_bytes`]).
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; gradients of another form than the layer;
    /// parameters for which the function is undefined.
    pub fn backward(&self, args: FeedForwardBackward<'_>) -> Result<Plan, Error> {
        let tokens = args.x.rows_cols().0;
        let workspace = Workspace::new(&[self], tokens, Policy::Recompute, args.dx.map_or(Element::F32, Tensor::element))?;
        let z = workspace.between(tokens, self)?;
        let again = self.pre_activation(args.x, &z)?;
        let scratch = workspace.bytes();
        Ok(again.then(self.backward_from(args, &z, &workspace)?).with_scratch(scratch))
    }

    /// The gradients, from z: what the activation was applied to, or gate and up. Afterwards their gradients are there.
    pub(super) fn backward_from(&self, args: FeedForwardBackward<'_>, z: &[Tensor], workspace: &Workspace) -> Result<Plan, Error> {
        let FeedForwardBackward { x, dy, dx, .. } = args;
        dy.expect_shape("dy", x.shape())?;
        if let Some(dx) = dx {
            dx.expect_shape("dx", x.shape())?;
        }
        self.outputs_apart(&args)?;
        let (tokens, d_model) = x.rows_cols();
        let rows = |tensor: &Tensor| tensor.view(0, &[tokens, d_model]);
        let (x, dy, dx) = (rows(x)?, rows(dy)?, dx.map(rows).transpose()?);
        let (into, out_of) = self.matrices(args.gradients)?;
        let (hidden, between) = (workspace.hidden(tokens, self)?, Between::new(self, z)?);
        let mut pass = Pass { layer: self, steps: Vec::new(), accumulate: args.accumulate };
        pass.product(LinearArgs { transposed: [false, true], ..LinearArgs::new(&dy, Weights::plain(out_of.weight), &hidden) })?;
        if let Some(dparameters) = args.dparameters {
            pass.steps.push(between.parameter_gradient(&hidden, dparameters, args.accumulate)?);
        }
        pass.steps.push(between.joint(&hidden)?);
        pass.weight_gradient(&out_of, &dy, &hidden)?;
        for (matrix, dz) in into.iter().zip(z) {
            pass.weight_gradient(matrix, dz, &x)?;
        }
        if let Some(dx) = &dx {
            // What is rounded is the sum, not its parts.
            let parts = workspace.parts(tokens, self, dx)?;
            let mut sum = args.residual.then_some(&dy);
            for (i, (matrix, dz)) in into.iter().zip(z).enumerate() {
                let out = if i + 1 == into.len() { dx } else { parts.as_ref().unwrap_or(dx) };
                let args = LinearArgs::new(dz, Weights::plain(matrix.weight), out);
                pass.product(LinearArgs { transposed: [false, true], residual: sum, ..args })?;
                sum = Some(out);
            }
        }
        let empty = PlanBuilder::new(self.gpu()).finish()?;
        Ok(pass.steps.into_iter().fold(empty, Plan::then))
    }

    /// The products' weights with their gradients: into hidden, and out of it.
    fn matrices<'a>(&'a self, gradients: &'a Layer) -> Result<(Vec<Trained<'a>>, Trained<'a>), Error> {
        match (self.layer(), gradients) {
            (Layer::Dense { activation: _, w1, b1, w2, b2 }, Layer::Dense { activation: _, w1: dw1, b1: db1, w2: dw2, b2: db2 }) => {
                let into = vec![Trained::new(w1, b1.as_ref(), dw1, db1.as_ref())?];
                Ok((into, Trained::new(w2, b2.as_ref(), dw2, db2.as_ref())?))
            }
            (
                Layer::Gated { gate: _, w_gate, w_up, biases, w_down, b_down },
                Layer::Gated { gate: _, w_gate: dw_gate, w_up: dw_up, biases: dbiases, w_down: dw_down, b_down: db_down },
            ) => {
                let (b, db) = (biases.as_ref(), dbiases.as_ref());
                let into = vec![
                    Trained::new(w_gate, b.map(|b| &b.0), dw_gate, db.map(|db| &db.0))?,
                    Trained::new(w_up, b.map(|b| &b.1), dw_up, db.map(|db| &db.1))?,
                ];
                Ok((into, Trained::new(w_down, b_down.as_ref(), dw_down, db_down.as_ref())?))
            }
            _ => Err(Error::Unsupported { function: "a layer".into(), what: "gradients of the other form (dense, gated)" }),
        }
    }

    /// Refuses what is written where it would destroy what is read, or something else that is written.
    fn outputs_apart(&self, args: &FeedForwardBackward<'_>) -> Result<(), Error> {
        let weights = self.layer().weights().into_iter().map(|weight| ("a weight", weight.memory()));
        let parameters = self.parameters().map(|tensor| ("parameters", tensor));
        let inputs: Vec<_> = weights.chain(parameters).chain([("x", args.x), ("dy", args.dy)]).collect();
        let gradients = args.gradients.weights().into_iter().map(|weight| ("gradient of a weight", weight.memory()));
        let dparameters = args.dparameters.map(|tensor| ("dparameters", tensor));
        let outputs: Vec<_> = gradients.chain(dparameters).chain(args.dx.map(|dx| ("dx", dx))).collect();
        for (i, (output, tensor)) in outputs.iter().enumerate() {
            if let Some((input, _)) = inputs.iter().chain(&outputs[..i]).find(|(_, other)| other.overlaps(tensor)) {
                return Err(Error::Alias { input, output });
            }
        }
        Ok(())
    }
}

/// A weight and a bias with their gradients.
struct Trained<'a> {
    weight: &'a Tensor,
    dweight: &'a Tensor,
    dbias: Option<&'a Tensor>,
}

impl<'a> Trained<'a> {
    fn new(weight: &'a Weight, bias: Option<&Tensor>, dweight: &'a Weight, dbias: Option<&'a Tensor>) -> Result<Self, Error> {
        let (weight, dweight) = (weight.plain()?, dweight.plain()?);
        dweight.expect_shape("gradient of a weight", weight.shape())?;
        match (bias, dbias) {
            (Some(bias), Some(dbias)) => dbias.expect_shape("gradient of a bias", bias.shape())?,
            (None, None) => {}
            (Some(bias), None) => {
                let expected = format!("{:?}, as its bias has", bias.shape());
                return Err(Error::Shape { operand: "gradient of a bias", expected, actual: Vec::new() });
            }
            (None, Some(dbias)) => {
                let expected = "no tensor, as there is no bias".into();
                return Err(Error::Shape { operand: "gradient of a bias", expected, actual: dbias.shape().to_vec() });
            }
        }
        Ok(Self { weight, dweight, dbias })
    }
}

/// A backward pass in the making.
struct Pass<'a> {
    layer: &'a FeedForward,
    steps: Vec<Plan>,
    accumulate: bool,
}

impl Pass<'_> {
    fn product(&mut self, args: LinearArgs<'_>) -> Result<(), Error> {
        self.steps.push(Linear::new(self.layer.gpu(), Activation::Identity).with_tuning(self.layer.tuning()).plan(args)?);
        Ok(())
    }

    /// dW = dy^T x, and in the same product the bias's gradient, the sums of dy's columns.
    fn weight_gradient(&mut self, matrix: &Trained<'_>, dy: &Tensor, x: &Tensor) -> Result<(), Error> {
        let dw = matrix.dweight;
        let args = LinearArgs { transposed: [true, true], ..LinearArgs::new(dy, Weights::plain(x), dw) };
        self.product(LinearArgs { residual: self.accumulate.then_some(dw), sums: matrix.dbias, ..args })
    }
}
