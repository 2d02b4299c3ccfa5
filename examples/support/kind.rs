//! What feed-forward weights are stored as on the GPU.

use ffwd::Element;
use ffwd::weights::{Block, FeedForwardWeights, HostTensor, HostWeight};

use super::{Result, fail};

/// What weights are turned into before they are uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They stay what they are.
    Stored,
    /// Plain numbers.
    Plain(Element),
    /// Quantised anew.
    Blocks(Block),
}

impl Kind {
    /// Every kind.
    fn all() -> impl Iterator<Item = Self> {
        [Self::Stored].into_iter().chain(Element::ALL.map(Self::Plain)).chain(Block::ALL.map(Self::Blocks))
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Plain(element) => element.name(),
            Self::Blocks(block) => block.lower_name(),
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Result<Self> {
        match Self::all().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None => fail(format!("no kind `{name}`; there are {}", Self::all().map(Self::name).collect::<Vec<_>>().join(", "))),
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
            Self::Blocks(block) => {
                let shape = weight.shape().to_vec();
                let cols = shape.last().copied().unwrap_or(0);
                if cols % block.len() != 0 {
                    return fail(format!("rows of {cols} numbers are not whole {} blocks of {}", block.name(), block.len()));
                }
                HostWeight::Blocks { shape, block, bytes: block.quantise(&weight.to_f32())? }
            }
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
