//! What feed-forward weights are stored as on the GPU.

use ffwd::Element;
use ffwd::weights::{FeedForwardWeights, HostTensor, HostWeight};

use super::{Result, fail};

/// What weights are turned into before they are uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They stay what they are.
    Stored,
    /// Plain numbers.
    Plain(Element),
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Plain(Element::F32), Self::Plain(Element::F16), Self::Plain(Element::Bf16)];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Plain(element) => element.name(),
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None => fail(format!("no kind `{name}`; there are {}", Self::ALL.map(Self::name).join(", "))),
        }
    }

    /// Whether no weight is rounded, so that results can be held against those of other programs.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Stored | Self::Plain(Element::F32))
    }

    /// A weight in this kind.
    fn convert(self, weight: &HostWeight) -> Result<HostWeight> {
        Ok(match self {
            Self::Stored => weight.clone(),
            Self::Plain(element) => HostTensor::new(weight.shape(), element, &weight.to_f32())?.into(),
        })
    }

    /// A layer whose weights are in this kind; its biases stay what they are.
    pub fn layer(self, weights: &FeedForwardWeights) -> Result<FeedForwardWeights> {
        let mut converted = weights.clone();
        let matrices = match &mut converted {
            FeedForwardWeights::Dense { w1, w2, .. } => vec![w1, w2],
            FeedForwardWeights::Gated { w_gate, w_up, w_down, .. } => vec![w_gate, w_up, w_down],
        };
        for matrix in matrices {
            *matrix = self.convert(matrix)?;
        }
        Ok(converted)
    }
}
