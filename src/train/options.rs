//! How a network is trained.

use super::init::Scheme;
use super::optimizer::{LossScaling, Optimizer, Schedule, positive};
use super::trainer::HISTORY;
use crate::element::Element;
use crate::error::Error;
use crate::ops::below_one;
use crate::ops::steps::ControlParams;
use crate::sizing::Policy;

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainerOptions {
    /// What gradients do to weights.
    pub optimizer: Optimizer,
    /// By how much.
    pub schedule: Schedule,
    /// What the loss is multiplied by.
    pub scaling: LossScaling,
    /// Largest norm of all gradients together; larger ones are scaled down to it (Pascanu et al. 2013).
    pub clip: Option<f64>,
    /// Kind of the weights that layers compute with, of what passes between blocks, and of gradients.
    pub element: Element,
    /// Kind of what lies inside a block; f16 overflows at 65504, which a gate's product reaches first.
    pub hidden: Element,
    /// What is kept for backward.
    pub policy: Policy,
    /// Probability with which a hidden unit is dropped in a step.
    pub dropout: f64,
    /// Where every random number comes from.
    pub seed: u64,
    /// Initial weights of the blocks.
    pub init: Scheme,
}

impl Default for TrainerOptions {
    /// AdamW at 1e-3 without decay, all in f32, no clipping, no dropout.
    fn default() -> Self {
        Self {
            optimizer: Optimizer::adamw(0.0),
            schedule: Schedule::constant(1e-3),
            scaling: LossScaling::NONE,
            clip: None,
            element: Element::F32,
            hidden: Element::F32,
            policy: Policy::Keep,
            dropout: 0.0,
            seed: 0,
            init: Scheme::default(),
        }
    }
}

impl TrainerOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        self.optimizer.check()?;
        self.schedule.check()?;
        self.scaling.check()?;
        below_one("dropout", "probability", self.dropout)?;
        self.clip.map_or(Ok(()), |norm| positive("clipping", "norm", norm))
    }

    /// What the kernel between gradients and updates is told, of so many gradients and terms of a loss.
    pub(super) fn control(&self, tensors: usize, terms: usize) -> ControlParams {
        let ([log_beta1, log_beta2], (minimum, total)) = (self.optimizer.log_betas(), self.schedule.end());
        ControlParams {
            tensors: tensors as u32,
            history: HISTORY,
            growth: self.scaling.start().1,
            clip: self.clip.unwrap_or(0.0) as f32,
            share: (1.0 / terms.max(1) as f64) as f32,
            log_beta1,
            log_beta2,
            rate: self.schedule.rate as f32,
            minimum: minimum as f32,
            warm_up: self.schedule.warm_up,
            total,
            ..Default::default()
        }
    }
}
