//! Initial weights, drawn on the device.

use super::optimizer::number;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, PlanBuilder, Tensor};
use crate::ops::steps;

/// A distribution of initial weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All the same.
    Constant(f64),
    /// Even between -bound and bound.
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// Normal around 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Normal around 0, within so many of its standard deviations (torch.nn.init.trunc_normal_).
    TruncatedNormal {
        /// Standard deviation before it is cut.
        deviation: f64,
        /// Where it is cut, in standard deviations.
        cut: f64,
    },
}

impl Init {
    /// Kaiming normal (He et al. 2015, arXiv:1502.01852): deviation gain / sqrt(fan_in); gain is sqrt(2) before a ReLU.
    pub fn kaiming_normal(fan_in: usize, gain: f64) -> Self {
        Self::Normal { deviation: gain / (fan_in.max(1) as f64).sqrt() }
    }

    /// Kaiming uniform: the same variance, bound gain * sqrt(3 / fan_in).
    pub fn kaiming_uniform(fan_in: usize, gain: f64) -> Self {
        Self::Uniform { bound: gain * (3.0 / fan_in.max(1) as f64).sqrt() }
    }

    /// Xavier normal (Glorot and Bengio 2010): deviation sqrt(2 / (fan_in + fan_out)).
    pub fn xavier_normal(fan_in: usize, fan_out: usize) -> Self {
        Self::Normal { deviation: (2.0 / (fan_in + fan_out).max(1) as f64).sqrt() }
    }

    /// Xavier uniform: the same variance, bound sqrt(6 / (fan_in + fan_out)).
    pub fn xavier_uniform(fan_in: usize, fan_out: usize) -> Self {
        Self::Uniform { bound: (6.0 / (fan_in + fan_out).max(1) as f64).sqrt() }
    }

    /// Fills a tensor. Element e depends on e, `seed` and `stream` alone, by word e % 4 of Philox4x32-10 at counter (e / 4,
    /// stream, 0, 0): uniform numbers are the same on every adapter, normal ones up to the last bits of a logarithm and a
    /// root. They have 24 random bits, so normal ones end at 5.5 deviations.
    ///
    /// # Errors
    /// [`Error::Parameter`] where a number is not finite, or negative; [`Error::Limit`].
    pub fn fill(self, gpu: &Gpu, tensor: &Tensor, seed: u64, stream: u32) -> Result<Plan, Error> {
        let check = |parameter, value| number("initialisation", parameter, value);
        let (name, size, width, normal) = match self {
            Self::Zeros => ("value", 0.0, 0.0, false),
            Self::Constant(value) => {
                check("value", value.abs())?;
                return steps::fill(gpu, tensor, [value as f32, 0.0, 0.0, 0.0], seed, stream);
            }
            Self::Uniform { bound } => ("bound", bound, 0.0, false),
            Self::Normal { deviation } => ("deviation", deviation, 1.0, true),
            Self::TruncatedNormal { deviation, cut } => {
                check("cut", cut)?;
                // How much of the normal distribution lies within.
                ("deviation", deviation, libm::erf(cut / std::f64::consts::SQRT_2), true)
            }
        };
        check(name, size)?;
        if tensor.is_empty() {
            return PlanBuilder::new(gpu).finish();
        }
        steps::fill(gpu, tensor, [0.0, size as f32, width as f32, f32::from(u8::from(normal))], seed, stream)
    }
}

/// How the matrices of a feed-forward block are initialised, in a network of so many blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Kaiming normal with the gain of ReLU into hidden, and gain 1 out of it.
    Kaiming,
    /// Xavier uniform.
    Xavier,
    /// Normal of deviation 0.02, within 2 deviations (BERT, `initializer_range`).
    TruncatedNormal,
    /// Normal of deviation 0.02; out of hidden 0.02 / sqrt(2 blocks) (Megatron-LM, Shoeybi et al. 2019, arXiv:1909.08053).
    #[default]
    Megatron,
    /// Of deviation 0.02 for the gate, and 0.02 / sqrt(2 blocks) for up and down, normal within 2 / 0.02 deviations, which is
    /// uncut (torchtitan's Llama); a dense layer as in Megatron.
    Llama,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 5] = [Self::Kaiming, Self::Xavier, Self::TruncatedNormal, Self::Megatron, Self::Llama];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kaiming => "kaiming",
            Self::Xavier => "xavier",
            Self::TruncatedNormal => "truncated-normal",
            Self::Megatron => "megatron",
            Self::Llama => "llama",
        }
    }

    /// The distribution of the matrix of this name (`w1`, `w_gate`, ...) and shape, `[out, in]`.
    pub fn of(self, name: &str, shape: &[usize], blocks: usize) -> Init {
        let (fan_out, fan_in) = (shape.first().copied().unwrap_or(1), shape.get(1).copied().unwrap_or(1));
        let out_of_hidden = matches!(name, "w2" | "w_down");
        let narrow = 0.02 / (2.0 * blocks.max(1) as f64).sqrt();
        match self {
            Self::Kaiming => Init::kaiming_normal(fan_in, if out_of_hidden { 1.0 } else { std::f64::consts::SQRT_2 }),
            Self::Xavier => Init::xavier_uniform(fan_in, fan_out),
            Self::TruncatedNormal => Init::TruncatedNormal { deviation: 0.02, cut: 2.0 },
            Self::Megatron | Self::Llama if out_of_hidden => Init::Normal { deviation: narrow },
            Self::Llama if name == "w_up" => Init::Normal { deviation: narrow },
            Self::Megatron | Self::Llama => Init::Normal { deviation: 0.02 },
        }
    }
}
