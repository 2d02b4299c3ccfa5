//! What a step does with gradients: optimizer, schedule, loss scaling.

use crate::error::Error;
use crate::gpu::{Gpu, Plan, Tensor};
use crate::ops::below_one;
use crate::ops::steps::Updated;

/// An optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// v = momentum v + (g + decay w), w -= rate v (torch.optim.SGD without dampening); plain where momentum is 0.
    Sgd {
        /// Momentum, at least 0 and below 1.
        momentum: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, w -= rate (m' / (sqrt(v') + epsilon) + decay w), with m' = m /
    /// (1 - beta1^t) and v' = v / (1 - beta2^t) (Loshchilov and Hutter 2019, arXiv:1711.05101; torch.optim.AdamW).
    AdamW {
        /// Decay of the first moment, at least 0 and below 1.
        beta1: f64,
        /// Decay of the second moment, likewise.
        beta2: f64,
        /// Added to the root.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// AdamW as Llama was trained with: betas 0.9 and 0.95, epsilon 1e-8, this weight decay.
    pub const fn adamw(weight_decay: f64) -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay }
    }

    /// Plain gradient descent.
    pub const SGD: Self = Self::Sgd { momentum: 0.0, weight_decay: 0.0 };

    /// f32 tensors that it keeps for each weight.
    pub const fn kept(self) -> usize {
        match self {
            Self::Sgd { momentum: 0.0, .. } => 0,
            Self::Sgd { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }

    /// Logarithms of AdamW's betas.
    pub(super) fn log_betas(self) -> [f32; 2] {
        match self {
            Self::Sgd { .. } => [0.0; 2],
            Self::AdamW { beta1, beta2, .. } => [beta1, beta2].map(|beta| beta.ln() as f32),
        }
    }

    /// Refuses numbers with which it is not defined.
    pub(super) fn check(self) -> Result<(), Error> {
        match self {
            Self::Sgd { momentum, weight_decay } => {
                below_one("optimizer", "momentum", momentum)?;
                number("optimizer", "weight_decay", weight_decay)
            }
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                below_one("optimizer", "beta1", beta1)?;
                below_one("optimizer", "beta2", beta2)?;
                number("optimizer", "weight_decay", weight_decay)?;
                // Without it a gradient of 0 is divided by 0.
                positive("optimizer", "epsilon", epsilon)
            }
        }
    }

    /// The update of one tensor; biases and learned parameters do not decay.
    pub(super) fn update(self, gpu: &Gpu, updated: Updated<'_>, decays: bool, state: &Tensor) -> Result<Plan, Error> {
        let decay = |weight_decay: f64| if decays { weight_decay as f32 } else { 0.0 };
        match self {
            Self::Sgd { momentum, weight_decay } => updated.sgd(gpu, momentum as f32, decay(weight_decay), state),
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                updated.adamw(gpu, [beta1, beta2], epsilon as f32, decay(weight_decay), state)
            }
        }
    }
}

/// Refuses a number that is not finite in f32, or negative.
pub(super) fn number(function: &str, parameter: &str, value: f64) -> Result<(), Error> {
    if value >= 0.0 && value <= f64::from(f32::MAX) {
        return Ok(());
    }
    let reason = "is not a finite number that is at least 0";
    Err(Error::Parameter { function: function.into(), parameter: parameter.into(), value, reason })
}

/// Refuses a number that f32 cannot tell from 0.
pub(super) fn positive(function: &str, parameter: &str, value: f64) -> Result<(), Error> {
    if value >= f64::from(f32::MIN_POSITIVE) && value <= f64::from(f32::MAX) {
        return Ok(());
    }
    let reason = "is not a normal positive number of f32";
    Err(Error::Parameter { function: function.into(), parameter: parameter.into(), value, reason })
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// It stays.
    None,
    /// By half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983) to `minimum` at update `total`, where it stays.
    Cosine {
        /// The last rate.
        minimum: f64,
        /// The update at which it is reached.
        total: u32,
    },
}

/// The learning rate of each update: rising evenly for `warm_up` updates, rate * (t + 1) / warm_up, then as `decay` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub rate: f64,
    /// Updates until it is reached.
    pub warm_up: u32,
    /// What follows.
    pub decay: Decay,
}

impl Schedule {
    /// Always the same rate.
    pub const fn constant(rate: f64) -> Self {
        Self { rate, warm_up: 0, decay: Decay::None }
    }

    /// The lowest rate, and the update at which it is reached; 0 for never.
    pub(super) fn end(self) -> (f64, u32) {
        match self.decay {
            Decay::None => (0.0, 0),
            Decay::Cosine { minimum, total } => (minimum, total.max(1)),
        }
    }

    pub(super) fn check(self) -> Result<(), Error> {
        number("schedule", "rate", self.rate)?;
        number("schedule", "minimum", self.end().0)
    }
}

/// What the loss is multiplied by before its gradients are taken; updates divide by it again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossScaling {
    /// Always this; 1 for none.
    Fixed(f64),
    /// Half after a step whose gradients are not finite, twice after `interval` sound ones, within 1 and 2^24 (Micikevicius et
    /// al. 2018, arXiv:1710.03740). The check is made on the device.
    Dynamic {
        /// The first scale.
        initial: f64,
        /// Sound steps after which it doubles.
        interval: u32,
    },
}

/// As shaders/train/control.wgsl has it.
const LARGEST_SCALE: f64 = 16_777_216.0;

impl LossScaling {
    /// No scaling.
    pub const NONE: Self = Self::Fixed(1.0);
    /// PyTorch's numbers: 65536, twice after 2000 sound steps.
    pub const DYNAMIC: Self = Self::Dynamic { initial: 65536.0, interval: 2000 };

    /// The first scale, and the interval; 0 for never.
    pub(super) fn start(self) -> (f64, u32) {
        match self {
            Self::Fixed(scale) => (scale, 0),
            Self::Dynamic { initial, interval } => (initial, interval.max(1)),
        }
    }

    pub(super) fn check(self) -> Result<(), Error> {
        let (value, _) = self.start();
        let reason = match self {
            Self::Fixed(_) if value > 0.0 && value <= LARGEST_SCALE => return Ok(()),
            Self::Dynamic { .. } if (1.0..=LARGEST_SCALE).contains(&value) => return Ok(()),
            Self::Fixed(_) => "is not above 0 and at most 2^24",
            Self::Dynamic { .. } => "is not in 1 ..= 2^24",
        };
        Err(Error::Parameter { function: "loss scaling".into(), parameter: "scale".into(), value, reason })
    }
}
