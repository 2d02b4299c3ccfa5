//! Gradients of a feed-forward layer. Only x is kept from the forward pass: what lies between the products is computed
//! again, which costs the products into hidden and saves their results' memory between the passes.

use super::feed_forward::{FeedForward, Layer};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Plan, PlanBuilder, Tensor};
use crate::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward, Linear, LinearArgs, Weights};

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
    /// Whether gradients of weights are added to what is there; else they overwrite it.
    pub accumulate: bool,
}

impl FeedForward {
    /// Zeros for the gradients of the weights, in f32.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn gradients(&self) -> Result<Layer, Error> {
        self.layer().map(|tensor| self.gpu().zeros(tensor.shape(), Element::F32))
    }

    /// The gradients of `sum(dy * y)`: the same bits on every run. All sums are in f32.
    ///
    /// The plan keeps f32 buffers of its own ([`Plan::scratch_bytes`]): `[tokens, d_ff]` twice for a dense layer and three
    /// times for a gated one, `[tokens]` where there are biases, and `[tokens, d_model]` where a gated layer's dx is not f32.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; gradients of another form than the layer;
    /// parameters for which the function is undefined.
    pub fn backward(&self, args: FeedForwardBackward<'_>) -> Result<Plan, Error> {
        let FeedForwardBackward { x, dy, dx, .. } = args;
        dy.expect_shape("dy", x.shape())?;
        if let Some(dx) = dx {
            dx.expect_shape("dx", x.shape())?;
        }
        self.outputs_apart(&args)?;
        let (tokens, d_model) = x.rows_cols();
        let rows = |tensor: &Tensor| tensor.view(0, &[tokens, d_model]);
        let (x, dy, dx) = (rows(x)?, rows(dy)?, dx.map(rows).transpose()?);
        let mut pass = Pass { layer: self, steps: Vec::new(), scratch: 0, accumulate: args.accumulate, ones: None };
        let hidden = [tokens, self.d_ff()];
        match (self.layer(), args.gradients) {
            (Layer::Dense { activation, w1, b1, w2, b2 }, Layer::Dense { activation: _, w1: dw1, b1: db1, w2: dw2, b2: db2 }) => {
                let into = [Matrix::new(w1, b1.as_ref(), dw1, db1.as_ref())?];
                let out_of = Matrix::new(w2, b2.as_ref(), dw2, db2.as_ref())?;
                pass.run(&Between::Activation(activation), &into, &out_of, [&x, &dy], dx.as_ref())
            }
            (
                Layer::Gated { gate, w_gate, w_up, biases, w_down, b_down },
                Layer::Gated { gate: _, w_gate: dw_gate, w_up: dw_up, biases: dbiases, w_down: dw_down, b_down: db_down },
            ) => {
                let (b, db) = (biases.as_ref(), dbiases.as_ref());
                let into = [
                    Matrix::new(w_gate, b.map(|b| &b.0), dw_gate, db.map(|db| &db.0))?,
                    Matrix::new(w_up, b.map(|b| &b.1), dw_up, db.map(|db| &db.1))?,
                ];
                let out_of = Matrix::new(w_down, b_down.as_ref(), dw_down, db_down.as_ref())?;
                let up = pass.own(&hidden)?;
                pass.run(&Between::Gate(gate, up), &into, &out_of, [&x, &dy], dx.as_ref())
            }
            _ => Err(Error::Unsupported { function: "a layer".into(), what: "gradients of the other form (dense, gated)" }),
        }
    }

    /// Refuses what is written where it would destroy what is read, or something else that is written.
    fn outputs_apart(&self, args: &FeedForwardBackward<'_>) -> Result<(), Error> {
        let weights = self.layer().weights().into_iter().map(|tensor| ("a weight", tensor));
        let inputs: Vec<_> = weights.chain([("x", args.x), ("dy", args.dy)]).collect();
        let gradients = args.gradients.weights().into_iter().map(|tensor| ("gradient of a weight", tensor));
        let outputs: Vec<_> = gradients.chain(args.dx.map(|dx| ("dx", dx))).collect();
        for (i, (output, tensor)) in outputs.iter().enumerate() {
            if let Some((input, _)) = inputs.iter().chain(&outputs[..i]).find(|(_, other)| other.overlaps(tensor)) {
                return Err(Error::Alias { input, output });
            }
        }
        Ok(())
    }
}

/// A weight and a bias with their gradients.
struct Matrix<'a> {
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    dweight: &'a Tensor,
    dbias: Option<&'a Tensor>,
}

impl<'a> Matrix<'a> {
    fn new(weight: &'a Tensor, bias: Option<&'a Tensor>, dweight: &'a Tensor, dbias: Option<&'a Tensor>) -> Result<Self, Error> {
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
        Ok(Self { weight, bias, dweight, dbias })
    }
}

/// What is applied between the products.
enum Between<'a> {
    Activation(&'a Activation),
    /// With what its up is, which becomes the gradient of that.
    Gate(&'a Gate, Tensor),
}

/// A backward pass in the making.
struct Pass<'a> {
    layer: &'a FeedForward,
    steps: Vec<Plan>,
    scratch: u64,
    accumulate: bool,
    /// `[1, tokens]`, where there are biases.
    ones: Option<Tensor>,
}

impl Pass<'_> {
    fn run(
        mut self,
        between: &Between<'_>,
        into: &[Matrix<'_>],
        out_of: &Matrix<'_>,
        [x, dy]: [&Tensor; 2],
        dx: Option<&Tensor>,
    ) -> Result<Plan, Error> {
        let tokens = x.rows_cols().0;
        if into.iter().chain([out_of]).any(|matrix| matrix.bias.is_some()) {
            let ones = self.layer.gpu().tensor(&vec![1.0; tokens], &[1, tokens], Element::F32)?;
            self.scratch += ones.buffer().size();
            self.ones = Some(ones);
        }
        // What the function is applied to, and hidden; their gradients take their places.
        let (sums, hidden) = (self.own(&[tokens, self.layer.d_ff()])?, self.own(&[tokens, self.layer.d_ff()])?);
        let z: &[&Tensor] = match between {
            Between::Activation(_) => &[&sums],
            Between::Gate(_, up) => &[&sums, up],
        };
        for (matrix, z) in into.iter().zip(z) {
            self.product(LinearArgs::new(x, Weights::One { weight: matrix.weight, bias: matrix.bias }, z))?;
        }
        self.apply(between, &sums, &hidden, false)?;
        self.weight_gradient(out_of, dy, &hidden)?;
        self.product(LinearArgs { transposed: [false, true], ..LinearArgs::new(dy, weight(out_of.weight), &hidden) })?;
        self.apply(between, &sums, &hidden, true)?;
        for (matrix, dz) in into.iter().zip(z) {
            self.weight_gradient(matrix, dz, x)?;
        }
        if let Some(dx) = dx {
            // What is rounded is the sum, not its parts.
            let parts = if into.len() > 1 && dx.element() != Element::F32 { Some(self.own(dx.shape())?) } else { None };
            let mut sum: Option<&Tensor> = None;
            for (i, (matrix, dz)) in into.iter().zip(z).enumerate() {
                let out = if i + 1 == into.len() { dx } else { parts.as_ref().unwrap_or(dx) };
                let args = LinearArgs::new(dz, weight(matrix.weight), out);
                self.product(LinearArgs { transposed: [false, true], residual: sum, ..args })?;
                sum = Some(out);
            }
        }
        let empty = PlanBuilder::new(self.layer.gpu()).finish()?;
        Ok(self.steps.into_iter().fold(empty, Plan::then).with_scratch(self.scratch))
    }

    /// A buffer that the plan keeps.
    fn own(&mut self, shape: &[usize]) -> Result<Tensor, Error> {
        let tensor = self.layer.gpu().zeros(shape, Element::F32)?;
        self.scratch += tensor.buffer().size();
        Ok(tensor)
    }

    fn product(&mut self, args: LinearArgs<'_>) -> Result<(), Error> {
        self.steps.push(Linear::new(self.layer.gpu(), Activation::Identity).with_tuning(self.layer.tuning()).plan(args)?);
        Ok(())
    }

    /// Hidden of z, or from hidden's gradient that of z, in z's place; likewise of a gate's up.
    fn apply(&mut self, between: &Between<'_>, z: &Tensor, hidden: &Tensor, backward: bool) -> Result<(), Error> {
        let gpu = self.layer.gpu();
        self.steps.push(match *between {
            Between::Gate(gate, ref up) => {
                let (gate, input) = (Gated::new(gpu, gate.clone()), GateInput::Separate { gate: z, up });
                if backward {
                    gate.backward(GatedBackward { input, dy: hidden, grads: input, bias: None, parameters: None })?
                } else {
                    gate.forward(GatedForward { input, y: hidden, bias: None, parameters: None })?
                }
            }
            Between::Activation(activation) => {
                let activate = Activate::new(gpu, activation.clone());
                if backward {
                    activate.backward(Backward { x: z, dy: hidden, dx: z, bias: None, parameters: None })?
                } else {
                    activate.forward(Forward { x: z, y: hidden, bias: None, parameters: None })?
                }
            }
        });
        Ok(())
    }

    /// dW = dy^T x, and the bias's gradient, the columns' sums of dy, as a product with ones.
    fn weight_gradient(&mut self, matrix: &Matrix<'_>, dy: &Tensor, x: &Tensor) -> Result<(), Error> {
        let (dw, accumulate) = (matrix.dweight, self.accumulate);
        let args = LinearArgs { transposed: [true, true], ..LinearArgs::new(dy, weight(x), dw) };
        self.product(LinearArgs { residual: accumulate.then_some(dw), ..args })?;
        if let (Some(db), Some(ones)) = (matrix.dbias, self.ones.clone()) {
            let db = db.view(0, &[1, db.len()])?;
            let args = LinearArgs { transposed: [false, true], ..LinearArgs::new(&ones, weight(dy), &db) };
            self.product(LinearArgs { residual: accumulate.then_some(&db), ..args })?;
        }
        Ok(())
    }
}

const fn weight(weight: &Tensor) -> Weights<'_> {
    Weights::One { weight, bias: None }
}
