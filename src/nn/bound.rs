//! A feed-forward layer bound to the tensors of a call.

use super::feed_forward::{FeedForward, FeedForwardArgs};
use crate::error::Error;
use crate::gpu::{Gpu, Matrix, Plan, Tensor};

/// A [`FeedForward`] bound to an x and a y, with a hidden of its own. All that it needs is allocated once, by
/// [`FeedForward::bind`]; it may then be recorded as often as there are new numbers in x.
///
/// It is one compute pass of two dispatches. Each product adds one where its depth is split or where gate and up are not
/// fused ([`crate::tuning::Strategy`]), and more where a device's limits cut it in parts.
#[derive(Debug)]
pub struct BoundFeedForward {
    plan: Plan,
    hidden: Tensor,
    bytes: u64,
}

/// Bytes of tensors, of which one that is used twice counts once.
pub(super) fn bytes_once(tensors: &[&Tensor]) -> u64 {
    let once = tensors.iter().enumerate().filter(|(i, tensor)| !tensors[..*i].iter().any(|earlier| earlier.same_elements(tensor)));
    once.map(|(_, tensor)| tensor.bytes()).sum()
}

impl FeedForward {
    /// Checks and binds the layer for one x, `[.., d_model]`, and one y, of the same shape in any kind. Allocates hidden,
    /// the sums of split depths and the parameters of the kernels.
    ///
    /// # Errors
    /// As [`FeedForward::hidden`] and [`FeedForward::plan`].
    pub fn bind(&self, x: &Tensor, y: &Tensor) -> Result<BoundFeedForward, Error> {
        let hidden = self.hidden(x)?;
        let plan = self.plan(FeedForwardArgs { x, hidden: &hidden, y })?;
        let mut tensors: Vec<_> = self.layer().weights().into_iter().map(Matrix::memory).collect();
        tensors.extend([x, &hidden, y]);
        let bytes = bytes_once(&tensors) + plan.scratch_bytes();
        Ok(BoundFeedForward { plan, hidden, bytes })
    }
}

impl BoundFeedForward {
    /// Appends one compute pass. It never submits, waits, maps or allocates.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        self.plan.record(encoder);
    }

    /// Appends to the caller's pass.
    pub fn record_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.plan.record_in(pass);
    }

    /// Records into an encoder of its own and submits that.
    pub fn submit(&self, gpu: &Gpu) {
        self.plan.submit(gpu);
    }

    /// The dispatches.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the last run left between the products, `[.., d_ff]`.
    pub fn hidden(&self) -> &Tensor {
        &self.hidden
    }

    /// Bytes of GPU memory: weights and biases + x + hidden + y + sums of split depths ([`Plan::scratch_bytes`]). A tensor
    /// that is used twice counts once, a view only its own elements, so that layers of one buffer can be added up.
    ///
    /// On top come [`Plan::parameter_bytes`] and, for each tensor with a buffer of its own, up to 15 bytes of padding
    /// ([`Gpu::zeros`]). A driver may round further.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
