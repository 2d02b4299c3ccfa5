//! Memory that layers need while they are trained, and no longer.

use super::feed_forward::FeedForward;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Tensor};
use crate::sizing::Policy;

/// Buffers that a layer's forward and backward pass use and leave behind: one workspace does for all layers of a network,
/// since they take turns.
///
/// Its bytes, for `tokens` rows, with the largest `d_ff` and `d_model` of the layers, in the layers' hidden kind: `[tokens,
/// d_ff]` for hidden; with [`Policy::Recompute`] `[tokens, d_ff]` again, twice for gated layers, for what hidden is computed
/// from; for gated layers `[tokens, d_model]` in f32, in which a dx of another kind is added up. Each buffer is a multiple
/// of 16 bytes.
#[derive(Debug, Clone)]
pub struct Workspace {
    hidden: Tensor,
    between: Vec<Tensor>,
    parts: Option<Tensor>,
    tokens: usize,
}

impl Workspace {
    /// For these layers on one device, each over at most `tokens` rows, whose gradients dx are of this kind.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Limit`]; [`Error::Kind`] where the layers keep hidden in different kinds;
    /// [`Error::Shape`] where there is no layer.
    pub fn new(layers: &[&FeedForward], tokens: usize, policy: Policy, dx: Element) -> Result<Self, Error> {
        let Some(first) = layers.first() else {
            return Err(Error::Shape { operand: "layers", expected: "at least one layer".into(), actual: vec![0] });
        };
        let (gpu, element) = (first.gpu(), first.hidden_element());
        if let Some(other) = layers.iter().find(|layer| layer.hidden_element() != element) {
            return Err(Error::Kind { operand: "hidden", expected: element, actual: other.hidden_element() });
        }
        let most = |of: fn(&FeedForward) -> usize| layers.iter().map(|layer| of(layer)).max().unwrap_or(0);
        let d_ff = most(FeedForward::d_ff);
        let gated = layers.iter().any(|layer| layer.is_gated());
        let zeros = |gpu: &Gpu, width: usize, element| gpu.zeros(&[tokens, width], element);
        let count = match policy {
            Policy::Keep => 0,
            Policy::Recompute => most(FeedForward::pre_activations),
        };
        Ok(Self {
            hidden: zeros(gpu, d_ff, element)?,
            between: (0..count).map(|_| zeros(gpu, d_ff, element)).collect::<Result<_, _>>()?,
            parts: (gated && dx != Element::F32).then(|| zeros(gpu, most(FeedForward::d_model), Element::F32)).transpose()?,
            tokens,
        })
    }

    /// Bytes of its buffers.
    pub fn bytes(&self) -> u64 {
        let tensors = [&self.hidden].into_iter().chain(&self.between).chain(&self.parts);
        tensors.map(|tensor| tensor.buffer().size()).sum()
    }

    /// Hidden of so many tokens of a layer: what a forward pass that uses it leaves there.
    ///
    /// # Errors
    /// [`Error::Limit`] where the workspace is for fewer tokens, [`Error::Kind`] where it is of another kind.
    pub fn hidden(&self, tokens: usize, layer: &FeedForward) -> Result<Tensor, Error> {
        self.fits(layer)?;
        self.part(&self.hidden, tokens, layer.d_ff())
    }

    /// What hidden is computed from.
    pub(super) fn between(&self, tokens: usize, layer: &FeedForward) -> Result<Vec<Tensor>, Error> {
        let needed = layer.pre_activations();
        if self.between.len() < needed {
            let (required, allowed) = (needed as u64, self.between.len() as u64);
            return Err(Error::Limit { what: "pre-activations of a workspace", required, allowed });
        }
        self.between.iter().take(needed).map(|tensor| self.part(tensor, tokens, layer.d_ff())).collect()
    }

    /// Where a dx that takes two products is added up, if that cannot be done in itself.
    pub(super) fn parts(&self, tokens: usize, layer: &FeedForward, dx: &Tensor) -> Result<Option<Tensor>, Error> {
        if !layer.is_gated() || dx.element() == Element::F32 {
            return Ok(None);
        }
        let missing = Error::Kind { operand: "dx", expected: Element::F32, actual: dx.element() };
        self.part(self.parts.as_ref().ok_or(missing)?, tokens, layer.d_model()).map(Some)
    }

    /// Refuses layers for which it was not made.
    fn fits(&self, layer: &FeedForward) -> Result<(), Error> {
        self.hidden.expect_element("workspace", layer.hidden_element())
    }

    fn part(&self, tensor: &Tensor, tokens: usize, width: usize) -> Result<Tensor, Error> {
        if tokens > self.tokens {
            let allowed = self.tokens as u64;
            return Err(Error::Limit { what: "tokens of a workspace", required: tokens as u64, allowed });
        }
        tensor.view(0, &[tokens, width])
    }
}
