//! What is known of training afterwards.

/// One step, as the device wrote it down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// Its number, from 0.
    pub step: u32,
    /// Mean loss of its batch, before its update.
    pub loss: f32,
    /// Norm of all gradients, before clipping and free of the loss scale; not finite where the step was skipped.
    pub gradient_norm: f32,
    /// Learning rate.
    pub rate: f32,
    /// What the loss was multiplied by.
    pub scale: f32,
}

impl Record {
    /// Whether no weight was changed, since gradients were not finite.
    pub fn skipped(&self) -> bool {
        !self.gradient_norm.is_finite()
    }
}

/// A network between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Steps that were taken before.
    pub step: u32,
    /// Mean loss on what it is not trained on, without dropout.
    pub loss: f64,
    /// Share of each block's hidden units that were 0 for everything that was evaluated.
    pub dead: Vec<f64>,
    /// Norm of the gradients of each block in the last step, free of the loss scale; 0 before the first.
    pub gradient_norms: Vec<f64>,
}
