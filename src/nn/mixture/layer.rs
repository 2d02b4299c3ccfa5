//! The weights of a mixture of experts on a device.

use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Matrix, Tensor, Weight};
use crate::nn::{FeedForward, Layer};
use crate::routing::Routing;

/// Weights of a mixture of `E` gated experts: y = sum over the chosen experts e of weight_e expert_e(x), where expert_e(x) =
/// gate(x w_gate_e^T + b_gate_e, x w_up_e^T + b_up_e) w_down_e^T + b_down_e, plus the shared expert's
/// (Shazeer et al. 2017, arXiv:1701.06538; Mixtral, arXiv:2401.04088).
#[derive(Debug, Clone)]
pub struct MixtureLayer {
    /// How experts are chosen, and with what weights.
    pub routing: Routing,
    /// `[E, d_model]`.
    pub router: Tensor,
    /// Added to the logits, `[E]` (gpt-oss).
    pub router_bias: Option<Tensor>,
    /// Added to the scores for the choice alone, `[E]` (DeepSeek-V3). It has no gradient.
    pub choice_bias: Option<Tensor>,
    /// The experts' gate.
    pub gate: Gate,
    /// `[E, d_ff, d_model]`.
    pub w_gate: Weight,
    /// `[E, d_ff, d_model]`, of the same kind.
    pub w_up: Weight,
    /// `[E, d_ff]` each; one needs the other.
    pub biases: Option<(Tensor, Tensor)>,
    /// `[E, d_model, d_ff]`.
    pub w_down: Weight,
    /// `[E, d_model]`.
    pub b_down: Option<Tensor>,
    /// An expert that every token goes through.
    pub shared: Option<SharedExpert>,
}

/// An expert that every token goes through, of a width of its own.
#[derive(Debug, Clone)]
pub struct SharedExpert {
    /// Its weights.
    pub layer: Layer,
    /// `[1, d_model]`: its output is multiplied by the sigmoid of x times this (Qwen2-MoE).
    pub gate: Option<Tensor>,
}

impl MixtureLayer {
    /// Every weight and bias by its name.
    pub fn named(&self) -> Vec<(String, Matrix<'_>)> {
        let (b_gate, b_up) = self.biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
        let own = [
            ("router", Some(&self.router)),
            ("router_bias", self.router_bias.as_ref()),
            ("choice_bias", self.choice_bias.as_ref()),
            ("b_gate", b_gate),
            ("b_up", b_up),
            ("b_down", self.b_down.as_ref()),
            ("shared_gate", self.shared.as_ref().and_then(|shared| shared.gate.as_ref())),
        ];
        let own = own.into_iter().filter_map(|(name, tensor)| Some((name, Matrix::from(tensor?))));
        let matrices = [("w_gate", &self.w_gate), ("w_up", &self.w_up), ("w_down", &self.w_down)];
        let own = own.chain(matrices.into_iter().map(|(name, weight)| (name, weight.into())));
        let shared = self.shared.iter().flat_map(|shared| shared.layer.named());
        own.map(|(name, matrix)| (name.to_owned(), matrix)).chain(shared.map(|(name, matrix)| (format!("shared.{name}"), matrix))).collect()
    }

    /// A layer of the same form, each tensor of which is made from this one's weight or bias.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn map(&self, mut make: impl FnMut(Matrix<'_>) -> Result<Tensor, Error>) -> Result<Self, Error> {
        let [w_gate, w_up, w_down] =
            [make((&self.w_gate).into())?, make((&self.w_up).into())?, make((&self.w_down).into())?].map(Weight::from);
        let biases = match &self.biases {
            Some((gate, up)) => Some((make(gate.into())?, make(up.into())?)),
            None => None,
        };
        let shared = match &self.shared {
            Some(SharedExpert { layer, gate }) => {
                let layer = layer.map(&mut make)?;
                Some(SharedExpert { layer, gate: gate.as_ref().map(|gate| make(gate.into())).transpose()? })
            }
            None => None,
        };
        let mut optional = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| make(tensor.into())).transpose();
        let (router_bias, choice_bias, b_down) = (optional(&self.router_bias)?, optional(&self.choice_bias)?, optional(&self.b_down)?);
        let (routing, gate, router) = (self.routing, self.gate.clone(), make((&self.router).into())?);
        Ok(Self { routing, gate, router, w_gate, w_up, w_down, router_bias, choice_bias, biases, b_down, shared })
    }

    /// Experts, d_model, d_ff.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let size = |i: usize| self.w_gate.shape().get(i).copied().unwrap_or(0);
        [size(0), size(2), size(1)]
    }

    /// Refuses tensors that do not fit each other.
    pub(super) fn check(&self) -> Result<(), Error> {
        let [experts, d_model, d_ff] = self.sizes();
        for (operand, weight, shape) in [
            ("w_gate", &self.w_gate, [experts, d_ff, d_model]),
            ("w_up", &self.w_up, [experts, d_ff, d_model]),
            ("w_down", &self.w_down, [experts, d_model, d_ff]),
        ] {
            if weight.shape() != shape {
                return Err(Error::Shape { operand, expected: format!("{shape:?}"), actual: weight.shape().to_vec() });
            }
            if Matrix::from(weight).order().is_some() {
                return Err(Error::Unsupported { function: "a mixture".into(), what: "weights whose columns have an order" });
            }
        }
        if self.w_gate.kind() != self.w_up.kind() {
            return Err(Error::Unsupported { function: "a mixture".into(), what: "gate and up of two kinds" });
        }
        self.router.expect_shape("router", &[experts, d_model])?;
        if let Some((gate, up)) = &self.biases {
            gate.expect_shape("b_gate", &[experts, d_ff])?;
            up.expect_shape("b_up", &[experts, d_ff])?;
            up.expect_element("b_up", gate.element())?;
        }
        for (name, bias) in [("router_bias", &self.router_bias), ("choice_bias", &self.choice_bias)] {
            bias.as_ref().map_or(Ok(()), |bias| bias.expect_shape(name, &[experts]))?;
        }
        self.b_down.as_ref().map_or(Ok(()), |bias| bias.expect_shape("b_down", &[experts, d_model]))?;
        if let Some(gate) = self.shared.as_ref().and_then(|shared| shared.gate.as_ref()) {
            gate.expect_shape("shared_gate", &[1, d_model])?;
        }
        let Routing { top_k, scale, .. } = self.routing;
        if top_k == 0 || top_k > experts {
            let (required, allowed) = (top_k as u64, experts as u64);
            return Err(Error::Limit { what: "experts of a token, at least 1,", required, allowed });
        }
        if !(scale.is_finite() && scale > 0.0) {
            let reason = "is not positive and finite";
            return Err(Error::Parameter { function: "routing".into(), parameter: "scale".into(), value: scale.into(), reason });
        }
        Ok(())
    }

    /// The shared expert as a layer.
    pub(super) fn shared_layer(&self, gpu: &crate::Gpu) -> Option<FeedForward> {
        self.shared.as_ref().map(|shared| FeedForward::new(gpu, shared.layer.clone()))
    }
}
