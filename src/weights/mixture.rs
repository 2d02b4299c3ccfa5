//! The operands of one mixture of experts.

use super::feed_forward::FeedForwardWeights;
use super::host::{HostTensor, HostWeight};
use crate::routing::Routing;

/// One mixture's weights, as its file has them; `E` experts.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureWeights {
    /// How experts are chosen.
    pub routing: Routing,
    /// The router, `[E, d_model]`.
    pub router: HostTensor,
    /// Added to the logits, `[E]`.
    pub router_bias: Option<HostTensor>,
    /// Added to the scores for the choice alone, not to the weights, `[E]` (DeepSeek-V3).
    pub choice_bias: Option<HostTensor>,
    /// `[E, d_ff, d_model]`.
    pub w_gate: HostWeight,
    /// `[E, d_ff]`.
    pub b_gate: Option<HostTensor>,
    /// `[E, d_ff, d_model]`.
    pub w_up: HostWeight,
    /// `[E, d_ff]`.
    pub b_up: Option<HostTensor>,
    /// `[E, d_model, d_ff]`.
    pub w_down: HostWeight,
    /// `[E, d_model]`.
    pub b_down: Option<HostTensor>,
    /// What the file calls the experts' activation or gate: `silu`, `swiglu_oai`.
    pub activation: Option<String>,
    /// An expert that every token goes through, of a width of its own.
    pub shared: Option<FeedForwardWeights>,
    /// `[1, d_model]`: the shared expert's output is multiplied by the sigmoid of x times this (Qwen2-MoE).
    pub shared_gate: Option<HostTensor>,
}
