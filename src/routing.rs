//! How a mixture of experts chooses among them.

/// What makes weights of a router's logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scoring {
    /// Softmax over all experts (Mixtral, Qwen-MoE; with [`Routing::normalise`] also gpt-oss, whose softmax is over the chosen
    /// ones: the two are equal).
    Softmax,
    /// A sigmoid for each expert (DeepSeek-V3, Llama 4).
    Sigmoid,
}

/// A router: logits = x w^T + b, scores of them, the `top_k` greatest, their weights. Of equal scores the expert with the
/// lower number wins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routing {
    /// What makes scores of logits.
    pub scoring: Scoring,
    /// Experts of a token.
    pub top_k: usize,
    /// Whether the weights of a token's experts are divided by their sum.
    pub normalise: bool,
    /// What all weights are multiplied by, at the end.
    pub scale: f32,
}

impl Routing {
    /// Softmax, normalised: Mixtral's router, and gpt-oss's.
    pub const fn softmax(top_k: usize) -> Self {
        Self { scoring: Scoring::Softmax, top_k, normalise: true, scale: 1.0 }
    }

    /// The same with the scores themselves as weights (Qwen2-MoE).
    #[must_use]
    pub const fn unnormalised(self) -> Self {
        Self { normalise: false, ..self }
    }
}
