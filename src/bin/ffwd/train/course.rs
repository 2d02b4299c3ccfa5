//! What a network did while it was trained.

use ffwd::train::Evaluation;

/// What one network did in a comparison.
#[derive(Debug, Clone)]
pub struct Course {
    /// Its name.
    pub name: String,
    /// Parameters of the whole network.
    pub parameters: u64,
    /// Training loss of each step, step 0 first.
    pub losses: Vec<f32>,
    /// What was measured now and then, the earliest first.
    pub evaluations: Vec<Evaluation>,
    /// Median time of a step, in milliseconds.
    pub step_ms: f64,
    /// Whether it could not go on.
    pub failed: bool,
}

impl Course {
    /// Training losses until the first that is not finite.
    pub fn sound_losses(&self) -> &[f32] {
        let end = self.losses.iter().position(|loss| !loss.is_finite());
        &self.losses[..end.unwrap_or(self.losses.len())]
    }

    /// Evaluations until the first whose loss is not finite.
    pub fn sound_evaluations(&self) -> &[Evaluation] {
        let end = self.evaluations.iter().position(|evaluation| !evaluation.loss.is_finite());
        &self.evaluations[..end.unwrap_or(self.evaluations.len())]
    }

    /// Whether a loss was not finite.
    pub fn diverged(&self) -> bool {
        self.failed || self.sound_losses().len() < self.losses.len() || self.sound_evaluations().len() < self.evaluations.len()
    }
}
