//! What is applied between a layer's products, with what it is applied to.

use super::feed_forward::{FeedForward, Layer};
use crate::error::Error;
use crate::gpu::{Plan, Tensor};
use crate::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward};

/// The activation or the gate of a layer, with its dropout, over pre-activations.
pub(super) struct Between<'a> {
    of: Of<'a>,
    parameters: Option<&'a Tensor>,
}

enum Of<'a> {
    Activation(Activate, &'a Tensor),
    Gate(Gated, [&'a Tensor; 2]),
}

impl<'a> Between<'a> {
    /// Of z: one tensor for an activation, gate and up for a gate.
    pub(super) fn new(layer: &'a FeedForward, z: &'a [Tensor]) -> Result<Self, Error> {
        let of = match (layer.layer(), z) {
            (Layer::Dense { activation, .. }, [x]) => {
                let activate = Activate::new(layer.gpu(), activation.clone());
                let dropped = layer.dropout().map(|(dropout, counter)| activate.clone().with_dropout(*dropout, counter));
                Of::Activation(dropped.unwrap_or(activate), x)
            }
            (Layer::Gated { gate, .. }, [g, u]) => {
                let gated = Gated::new(layer.gpu(), gate.clone());
                let dropped = layer.dropout().map(|(dropout, counter)| gated.clone().with_dropout(*dropout, counter));
                Of::Gate(dropped.unwrap_or(gated), [g, u])
            }
            _ => {
                let (required, allowed) = (layer.pre_activations() as u64, z.len() as u64);
                return Err(Error::Limit { what: "pre-activations of a layer", required, allowed });
            }
        };
        Ok(Self { of, parameters: layer.parameters() })
    }

    /// Hidden.
    pub(super) fn forward(&self, hidden: &Tensor) -> Result<Plan, Error> {
        let parameters = self.parameters;
        match &self.of {
            Of::Activation(of, x) => of.forward(Forward { x, y: hidden, bias: None, parameters }),
            Of::Gate(of, [gate, up]) => {
                of.forward(GatedForward { input: GateInput::Separate { gate, up }, y: hidden, bias: None, parameters })
            }
        }
    }

    /// From hidden's gradient that of the pre-activations, in their place, and hidden in its gradient's.
    pub(super) fn joint(&self, hidden: &Tensor) -> Result<Plan, Error> {
        match &self.of {
            Of::Activation(of, x) => of.joint(x, hidden, self.parameters),
            Of::Gate(of, inputs) => of.joint(*inputs, hidden, self.parameters),
        }
    }

    /// The gradient of the learned parameters from hidden's.
    pub(super) fn parameter_gradient(&self, dhidden: &Tensor, dparameters: &Tensor, accumulate: bool) -> Result<Plan, Error> {
        let (dy, parameters) = (dhidden, self.parameters);
        match &self.of {
            Of::Activation(of, x) => of.add_parameter_gradient(Backward { x, dy, dx: dy, bias: None, parameters }, dparameters, accumulate),
            Of::Gate(of, [gate, up]) => {
                let input = GateInput::Separate { gate, up };
                let args = GatedBackward { input, dy, grads: input, bias: None, parameters };
                of.add_parameter_gradient(args, dparameters, accumulate)
            }
        }
    }
}
