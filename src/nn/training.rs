//! A layer bound for training: forward, what it keeps, and backward.

use super::backward::FeedForwardBackward;
use super::between::Between;
use super::feed_forward::{FeedForward, FeedForwardArgs, Layer};
use super::workspace::Workspace;
use crate::activation::Activation;
use crate::error::Error;
use crate::gpu::{Matrix, Plan, Tensor, Weight};
use crate::ops::{Activate, Forward, Linear, LinearArgs, Weights};
use crate::sizing::Policy;

/// Operands of a layer in training.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardTraining<'a> {
    /// Output, `[.., d_model]`, in any kind.
    pub y: &'a Tensor,
    /// The input, the gradients, and whether the input is added to the output.
    pub backward: FeedForwardBackward<'a>,
    /// What is kept from forward to backward besides x.
    pub policy: Policy,
    /// Memory that is shared with other layers.
    pub workspace: &'a Workspace,
}

/// A layer bound to the tensors of a training step. Backward writes over what forward kept, so it can be had only once for
/// each forward: [`BoundTraining::forward`] lends what is kept, and [`Kept::backward`] takes it.
///
/// ```no_run
/// # fn once(layer: &mut ffwd::nn::BoundTraining, encoder: &mut ffwd::wgpu::CommandEncoder) {
/// let kept = layer.forward(encoder);
/// // The layers behind this one, the loss, and their backward passes.
/// kept.backward(encoder);
/// # }
/// ```
///
/// Twice does not compile:
///
/// ```compile_fail,E0382
/// # fn twice(layer: &mut ffwd::nn::BoundTraining, encoder: &mut ffwd::wgpu::CommandEncoder) {
/// let kept = layer.forward(encoder);
/// kept.backward(encoder);
/// kept.backward(encoder); // what was kept is gone
/// # }
/// ```
///
/// Nor can another forward write over it before backward has read it:
///
/// ```compile_fail,E0499
/// # fn over(layer: &mut ffwd::nn::BoundTraining, encoder: &mut ffwd::wgpu::CommandEncoder) {
/// let kept = layer.forward(encoder);
/// let other = layer.forward(encoder); // `layer` is lent to `kept`
/// kept.backward(encoder);
/// # }
/// ```
#[derive(Debug)]
pub struct BoundTraining {
    forward: Plan,
    backward: Plan,
    kept: u64,
}

/// What a forward pass kept for its backward pass.
#[derive(Debug)]
#[must_use = "without a backward pass, nothing was to be kept"]
pub struct Kept<'a>(&'a mut BoundTraining);

impl BoundTraining {
    /// Appends the forward pass. It never submits, waits, maps or allocates.
    pub fn forward(&mut self, encoder: &mut wgpu::CommandEncoder) -> Kept<'_> {
        self.forward.record(encoder);
        Kept(self)
    }

    /// Bytes that are kept from forward to backward besides x: nothing with [`Policy::Recompute`], else a buffer of tokens *
    /// d_ff elements of hidden's kind, for a gated layer two; each is a multiple of 16 bytes.
    pub const fn kept_bytes(&self) -> u64 {
        self.kept
    }

    /// Both passes, for those who see to it that they alternate.
    pub(crate) fn into_plans(self) -> (Plan, Plan) {
        (self.forward, self.backward)
    }
}

impl Kept<'_> {
    /// Appends the backward pass. It never submits, waits, maps or allocates.
    pub fn backward(self, encoder: &mut wgpu::CommandEncoder) {
        self.0.backward.record(encoder);
    }
}

impl FeedForward {
    /// Binds a training step: y = layer(x), with dropout as [`FeedForward::with_dropout`] says, plus x where `residual` is
    /// set; then the gradients of `sum(dy * y)`, the same bits on every run.
    ///
    /// With [`Policy::Keep`] what the activation or the gate is applied to is kept in memory of the layer's own
    /// ([`BoundTraining::kept_bytes`]) and becomes its gradient; with [`Policy::Recompute`] it is computed again, one product
    /// more (a gated layer: two), and both live in the workspace.
    ///
    /// # Errors
    /// As [`FeedForward::plan`] and [`FeedForward::backward`]; a workspace that is too small.
    pub fn train(&self, args: FeedForwardTraining<'_>) -> Result<BoundTraining, Error> {
        let FeedForwardTraining { y, backward, policy, workspace } = args;
        let x = backward.x;
        let tokens = x.rows_cols().0;
        // Backward reads them, or adds to them, after y was written.
        let weights = self.layer().weights().into_iter().map(Matrix::memory).chain(self.parameters()).map(|tensor| ("a weight", tensor));
        let gradients = backward.gradients.weights().into_iter().map(Matrix::memory).chain(backward.dparameters);
        let others = [("x", x), ("dy", backward.dy)].into_iter().chain(gradients.map(|tensor| ("gradient of a weight", tensor)));
        if let Some((input, _)) = weights.chain(others).find(|(_, tensor)| tensor.overlaps(y)) {
            return Err(Error::Alias { input, output: "y" });
        }
        let hidden = workspace.hidden(tokens, self)?;
        let (forward, z, again) = match policy {
            Policy::Keep => {
                let zeros = |_| self.gpu().zeros(&[tokens, self.d_ff()], self.hidden_element());
                let z: Vec<_> = (0..self.pre_activations()).map(zeros).collect::<Result<_, _>>()?;
                let applied = Between::new(self, &z)?.forward(&hidden)?;
                (self.pre_activation(x, &z)?.then(applied), z, None)
            }
            Policy::Recompute => {
                let z = workspace.between(tokens, self)?;
                let again = self.pre_activation(x, &z)?;
                let first = self.first_product(&x.view(0, &[tokens, self.d_model()])?, &hidden)?;
                (first.then(self.drop_hidden(&hidden)?), z, Some(again))
            }
        };
        let out_of = self.second_product(&hidden, &y.view(0, &[tokens, self.d_model()])?, backward.residual.then_some(x))?;
        let from = self.backward_from(backward, &z, workspace)?;
        let kept = if policy == Policy::Keep { z.iter().map(|tensor| tensor.buffer().size()).sum() } else { 0 };
        let backward = match again {
            Some(again) => again.then(from),
            None => from,
        };
        Ok(BoundTraining { forward: forward.then(out_of), backward, kept })
    }

    /// What the activation or the gate is applied to.
    pub(super) fn pre_activation(&self, x: &Tensor, z: &[Tensor]) -> Result<Plan, Error> {
        let x = x.view(0, &[x.rows_cols().0, self.d_model()])?;
        let product = |weight: &Weight, bias, z| {
            let args = LinearArgs::new(&x, Weights::One { weight: weight.into(), bias }, z);
            Linear::new(self.gpu(), Activation::Identity).with_tuning(self.tuning()).plan(args)
        };
        match (self.layer(), z) {
            (Layer::Dense { w1, b1, .. }, [z, ..]) => product(w1, b1.as_ref(), z),
            (Layer::Gated { w_gate, w_up, biases, .. }, [g, u]) => {
                let (b_gate, b_up) = biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
                Ok(product(w_gate, b_gate, g)?.then(product(w_up, b_up, u)?))
            }
            _ => Err(Error::Unsupported { function: "a layer".into(), what: "room for gate and up" }),
        }
    }

    /// Dropout of hidden, in place.
    fn drop_hidden(&self, hidden: &Tensor) -> Result<Plan, Error> {
        match self.dropout() {
            Some((dropout, counter)) => {
                let activate = Activate::new(self.gpu(), Activation::Identity).with_dropout(*dropout, counter);
                activate.forward(Forward { x: hidden, y: hidden, bias: None, parameters: None })
            }
            None => crate::gpu::PlanBuilder::new(self.gpu()).finish(),
        }
    }

    /// Hidden and y, as [`FeedForward::plan`], plus x where `residual` is set; without dropout.
    ///
    /// # Errors
    /// As [`FeedForward::plan`].
    pub fn evaluate(&self, args: FeedForwardArgs<'_>, residual: bool) -> Result<Plan, Error> {
        let first = self.first_product(args.x, args.hidden)?;
        Ok(first.then(self.second_product(args.hidden, args.y, residual.then_some(args.x))?))
    }
}
