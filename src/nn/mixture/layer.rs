//! The weights of a mixture of experts on a device.

use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::Tensor;
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
    pub w_gate: Tensor,
    /// `[E, d_ff, d_model]`, of the same kind.
    pub w_up: Tensor,
    /// `[E, d_ff]` each; one needs the other.
    pub biases: Option<(Tensor, Tensor)>,
    /// `[E, d_model, d_ff]`.
    pub w_down: Tensor,
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
    /// Every tensor by its name.
    pub fn named(&self) -> Vec<(String, &Tensor)> {
        let (b_gate, b_up) = self.biases.as_ref().map(|(gate, up)| (gate, up)).unzip();
        let own = [
            ("router", Some(&self.router)),
            ("router_bias", self.router_bias.as_ref()),
            ("choice_bias", self.choice_bias.as_ref()),
            ("w_gate", Some(&self.w_gate)),
            ("w_up", Some(&self.w_up)),
            ("w_down", Some(&self.w_down)),
            ("b_gate", b_gate),
            ("b_up", b_up),
            ("b_down", self.b_down.as_ref()),
            ("shared_gate", self.shared.as_ref().and_then(|shared| shared.gate.as_ref())),
        ];
        let own = own.into_iter().filter_map(|(name, tensor)| Some((name.to_owned(), tensor?)));
        let shared = self.shared.iter().flat_map(|shared| shared.layer.named());
        own.chain(shared.map(|(name, tensor)| (format!("shared.{name}"), tensor))).collect()
    }

    /// A layer of the same form, each tensor of which is made from this one's.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn map(&self, mut make: impl FnMut(&Tensor) -> Result<Tensor, Error>) -> Result<Self, Error> {
        let mut optional = |tensor: &Option<Tensor>| tensor.as_ref().map(&mut make).transpose();
        let (router_bias, choice_bias, b_down) = (optional(&self.router_bias)?, optional(&self.choice_bias)?, optional(&self.b_down)?);
        let biases = match &self.biases {
            Some((gate, up)) => Some((make(gate)?, make(up)?)),
            None => None,
        };
        let shared = match &self.shared {
            Some(SharedExpert { layer, gate }) => {
                let layer = layer.map(&mut make)?;
                Some(SharedExpert { layer, gate: gate.as_ref().map(&mut make).transpose()? })
            }
            None => None,
        };
        Ok(Self {
            routing: self.routing,
            gate: self.gate.clone(),
            router: make(&self.router)?,
            w_gate: make(&self.w_gate)?,
            w_up: make(&self.w_up)?,
            w_down: make(&self.w_down)?,
            router_bias,
            choice_bias,
            biases,
            b_down,
            shared,
        })
    }

    /// Experts, d_model, d_ff.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let size = |i: usize| self.w_gate.shape().get(i).copied().unwrap_or(0);
        [size(0), size(2), size(1)]
    }

    /// Refuses tensors that do not fit each other.
    pub(super) fn check(&self) -> Result<(), Error> {
        let [experts, d_model, d_ff] = self.sizes();
        self.w_gate.expect_shape("w_gate", &[experts, d_ff, d_model])?;
        self.w_up.expect_shape("w_up", &[experts, d_ff, d_model])?;
        self.w_up.expect_element("w_up", self.w_gate.element())?;
        self.w_down.expect_shape("w_down", &[experts, d_model, d_ff])?;
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
