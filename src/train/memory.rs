//! What training takes of a device's memory.

/// Bytes of a trainer's buffers, by what they are for; each buffer is a multiple of 16 bytes. Nothing is allocated after
/// [`Trainer::new`](super::Trainer::new) but for what reading back takes while it lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Master weights, 4 bytes a parameter, and their copies where layers compute in another kind.
    pub weights: u64,
    /// Gradients of the weights, in the kind that layers compute in (of learned activation parameters: f32).
    pub gradients: u64,
    /// The optimizer's, 4 bytes a parameter for momentum, 8 for AdamW.
    pub optimizer: u64,
    /// What passes between blocks: [rows, d_model] for each block's input, for the last output, and twice for
    /// gradients (once for a single block whose input's gradient nobody needs).
    pub activations: u64,
    /// What blocks keep for backward: [`BoundTraining::kept_bytes`](crate::nn::BoundTraining::kept_bytes) of each.
    pub kept: u64,
    /// What blocks share: [`Workspace::bytes`](crate::nn::Workspace::bytes).
    pub workspace: u64,
    /// The task's data, batches, logits and losses.
    pub task: u64,
    /// State, history, norms, counts: a few kilobytes.
    pub steering: u64,
    /// Partial sums of kernels ([`Plan::scratch_bytes`](crate::Plan::scratch_bytes)).
    pub scratch: u64,
    /// Kernels' parameters ([`Plan::parameter_bytes`](crate::Plan::parameter_bytes)).
    pub parameters: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        let Self { weights, gradients, optimizer, activations, kept, workspace, task, steering, scratch, parameters } = self;
        weights + gradients + optimizer + activations + kept + workspace + task + steering + scratch + parameters
    }
}
