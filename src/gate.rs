//! Gates: the GLU family over (gate, up), and where the two halves lie in memory.

use crate::activation::Activation;
use crate::names::{self, UnknownName};

/// A gated linear unit's product: `activation(gate) * up`, or gpt-oss's clamped form.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Gate {
    /// `activation(gate) * up`: GLU, Bilinear, ReGLU, GeGLU, SwiGLU (Shazeer 2020, arXiv:2002.05202) and any other.
    Of(Activation),
    /// `(clamp(up, -limit, limit) + 1) * g * sigmoid(alpha * g)` with `g = min(gate, limit)` (gpt-oss).
    /// The derivative is 0 where the clamp holds, its edge included.
    SwiGluOai {
        /// Slope of the sigmoid.
        alpha: f64,
        /// Where gate and up are clamped.
        limit: f64,
    },
}

/// The field's names for gates, the activation's name where the gate is `activation(gate) * up`, and the formula.
pub const NAMES: &[(&str, &str, &str)] = &[
    ("glu", "sigmoid", "sigmoid(gate) * up"),
    ("bilinear", "identity", "gate * up"),
    ("reglu", "relu", "max(gate, 0) * up"),
    ("geglu", "gelu", "gelu(gate) * up"),
    ("geglu_tanh", "gelu_tanh", "gelu_tanh(gate) * up"),
    ("geglu_quick", "quick_gelu", "quick_gelu(gate) * up"),
    ("swiglu", "silu", "silu(gate) * up"),
    ("swiglu_beta", "swish", "gate * sigmoid(beta * gate) * up"),
    ("swiglu_oai", "", "(clamp(up, -limit, limit) + 1) * min(gate, limit) * sigmoid(alpha * min(gate, limit))"),
];

impl Gate {
    /// gpt-oss's gate with its published constants.
    pub const OAI: Self = Self::SwiGluOai { alpha: 1.702, limit: 7.0 };

    /// The gate called `name`, with default parameters; an activation's name means `activation(gate) * up`.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest known names.
    pub fn parse(name: &str) -> Result<Self, UnknownName> {
        if names::same(name, "swiglu_oai") {
            return Ok(Self::OAI);
        }
        // ggml's name for the gate that is plain `geglu` here.
        let name = if names::same(name, "geglu_erf") { "geglu" } else { name };
        let activation = NAMES.iter().find(|(gate, ..)| names::same(gate, name)).map_or(name, |(_, activation, _)| activation);
        Activation::parse(activation).map(Self::Of).map_err(|_| UnknownName::new("gate", name, Self::names().chain(Activation::names())))
    }

    /// The gates' own names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, ..)| *name)
    }

    /// Every named gate with default parameters.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::names().filter_map(|name| Self::parse(name).ok())
    }

    /// The field's name where it has one, else the activation's.
    pub fn name(&self) -> &str {
        match self {
            Self::SwiGluOai { .. } => "swiglu_oai",
            Self::Of(activation) => {
                let own = activation.name();
                NAMES.iter().find(|(_, name, _)| *name == own).map_or(own, |(gate, ..)| gate)
            }
        }
    }

    /// The same gate with one parameter changed.
    ///
    /// # Errors
    /// [`UnknownName`] where it has no such parameter.
    pub fn with(self, parameter: &str, value: f64) -> Result<Self, UnknownName> {
        match (self, parameter) {
            (Self::Of(activation), _) => activation.with(parameter, value).map(Self::Of),
            (Self::SwiGluOai { limit, .. }, "alpha") => Ok(Self::SwiGluOai { alpha: value, limit }),
            (Self::SwiGluOai { alpha, .. }, "limit") => Ok(Self::SwiGluOai { alpha, limit: value }),
            (Self::SwiGluOai { .. }, _) => Err(UnknownName::new("parameter", parameter, ["alpha", "limit"].into_iter())),
        }
    }

    /// Names and values of the parameters.
    pub fn parameters(&self) -> Vec<(String, f64)> {
        match self {
            Self::Of(activation) => activation.parameters(),
            Self::SwiGluOai { alpha, limit } => vec![("alpha".into(), *alpha), ("limit".into(), *limit)],
        }
    }

    /// Parameters (and constants derived from them) as the kernels receive them.
    pub fn constants(&self) -> Vec<f64> {
        match self {
            Self::Of(activation) => activation.constants(),
            Self::SwiGluOai { alpha, limit } => vec![*alpha, *limit],
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(activation) => f.write_str(&activation.to_string().replacen(activation.name(), self.name(), 1)),
            Self::SwiGluOai { .. } if *self == Self::OAI => f.write_str(self.name()),
            Self::SwiGluOai { alpha, limit } => write!(f, "{}(alpha={alpha}, limit={limit})", self.name()),
        }
    }
}

impl From<Activation> for Gate {
    fn from(activation: Activation) -> Self {
        Self::Of(activation)
    }
}

/// Where gate and up lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// Two tensors.
    #[default]
    Separate,
    /// One tensor, each row `[gate | up]` (Llama, vLLM).
    Packed,
    /// One tensor, each row `[up | gate]` (`torch.nn.functional.glu`).
    Swapped,
    /// One tensor, gate at even and up at odd positions (gpt-oss).
    Interleaved,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 4] = [Self::Separate, Self::Packed, Self::Swapped, Self::Interleaved];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Packed => "packed",
            Self::Swapped => "swapped",
            Self::Interleaved => "interleaved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_names_go_both_ways() {
        for name in Gate::names() {
            assert_eq!(Gate::parse(name).unwrap().name(), name);
        }
        assert_eq!(Gate::parse("silu").unwrap().name(), "swiglu");
        assert!(Gate::parse("swigul").unwrap_err().to_string().contains("swiglu"));
    }
}
