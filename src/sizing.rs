//! Sizes of feed-forward layers: parameters, operations, bytes, and how wide a gated layer is that costs what another does.
//!
//! A gated layer has three matrices where a dense one has two, so at equal parameters its d_ff is 2/3 of the other's
//! (Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202, section 3).
//!
//! ```
//! use ffwd::sizing::{Equal, LayerSize};
//!
//! // Llama 2 7B: 2/3 of 4 x 4096, rounded up to a multiple of 256.
//! let dense = LayerSize::dense(4096, 16384)?;
//! assert_eq!(dense.gated_equivalent(Equal::Parameters, false, 1.0, 256)?.d_ff(), 11008);
//! # Ok::<(), ffwd::sizing::SizingError>(())
//! ```

use thiserror::Error;

use crate::element::Element;
use crate::quantised::Block;

/// A size that no layer has.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SizingError {
    /// A number of features, or what it is rounded to.
    #[error("`{what}` is {value}; 1 to {} is needed", LayerSize::MOST)]
    Features {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A factor that is not positive and finite.
    #[error("`multiplier` is {value}; a positive number is needed")]
    Multiplier {
        /// Its value.
        value: f64,
    },
}

/// A feed-forward layer by its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerSize {
    d_model: u64,
    d_ff: u64,
    gated: bool,
    biases: bool,
}

/// What the gated layer has in common with the one it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Equal {
    /// Parameters, biases included.
    Parameters,
    /// Operations a token: elements of the matrices.
    Flops,
    /// d_ff.
    Width,
}

impl Equal {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Parameters, Self::Flops, Self::Width];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Flops => "flops",
            Self::Width => "width",
        }
    }
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Every parameter as one element.
    Plain(Element),
    /// Matrices in ggml's blocks, which rows must be made of; biases in f32.
    Quantised(Block),
}

impl Storage {
    /// Every kind, the largest first.
    pub const ALL: [Self; 6] = [
        Self::Plain(Element::F32),
        Self::Plain(Element::F16),
        Self::Plain(Element::Bf16),
        Self::Quantised(Block::Q8_0),
        Self::Quantised(Block::Q4_1),
        Self::Quantised(Block::Q4_0),
    ];

    /// Its name: PyTorch's or ggml's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain(element) => element.name(),
            Self::Quantised(block) => block.name(),
        }
    }
}

/// What a training step keeps of a layer for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// x, and what the activation or the gate was applied to: `[g|u]`, or the dense layer's hidden before it.
    Keep,
    /// x alone; the rest is computed again.
    Recompute,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Recompute];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Recompute => "recompute",
        }
    }
}

impl LayerSize {
    /// Most features: with more, the numbers below could pass 2^64.
    pub const MOST: u64 = 1 << 28;

    /// Two matrices and an activation, without biases.
    ///
    /// # Errors
    /// [`SizingError::Features`].
    pub fn dense(d_model: u64, d_ff: u64) -> Result<Self, SizingError> {
        features("d_model", d_model)?;
        features("d_ff", d_ff)?;
        Ok(Self { d_model, d_ff, gated: false, biases: false })
    }

    /// Three matrices and a gate, without biases.
    ///
    /// # Errors
    /// [`SizingError::Features`].
    pub fn gated(d_model: u64, d_ff: u64) -> Result<Self, SizingError> {
        Ok(Self { gated: true, ..Self::dense(d_model, d_ff)? })
    }

    /// The same, with or without a bias for each matrix.
    #[must_use]
    pub const fn with_biases(self, biases: bool) -> Self {
        Self { biases, ..self }
    }

    /// Features in and out.
    pub const fn d_model(self) -> u64 {
        self.d_model
    }

    /// Hidden features.
    pub const fn d_ff(self) -> u64 {
        self.d_ff
    }

    /// Whether gate and up are two matrices.
    pub const fn is_gated(self) -> bool {
        self.gated
    }

    /// Matrices into hidden: one, or gate and up.
    const fn into_hidden(self) -> u64 {
        if self.gated { 2 } else { 1 }
    }

    /// Elements of the matrices.
    pub const fn weights(self) -> u64 {
        (self.into_hidden() + 1) * self.d_model * self.d_ff
    }

    /// Elements of the biases.
    pub const fn bias_parameters(self) -> u64 {
        if self.biases { self.into_hidden() * self.d_ff + self.d_model } else { 0 }
    }

    /// Elements of all matrices and biases. A learned parameter of the activation's own is not counted.
    pub const fn parameters(self) -> u64 {
        self.weights() + self.bias_parameters()
    }

    /// Operations of a forward pass for one token: a multiplication and an addition for each element of a matrix. The
    /// activation's are not counted.
    pub const fn forward_flops(self) -> u64 {
        2 * self.weights()
    }

    /// Operations of a backward pass for one token: two products for each matrix, its gradient and its input's, and where
    /// hidden is computed again, the products into it.
    pub const fn backward_flops(self, policy: Policy) -> u64 {
        let again = match policy {
            Policy::Keep => 0,
            Policy::Recompute => 2 * self.into_hidden() * self.d_model * self.d_ff,
        };
        4 * self.weights() + again
    }

    /// Elements that a training step keeps of one token from forward to backward.
    pub const fn kept_elements(self, policy: Policy) -> u64 {
        match policy {
            Policy::Keep => self.d_model + self.into_hidden() * self.d_ff,
            Policy::Recompute => self.d_model,
        }
    }

    /// Bytes of all parameters. `None` where a row is no whole number of blocks.
    pub fn weight_bytes(self, storage: Storage) -> Option<u64> {
        match storage {
            Storage::Plain(element) => Some(self.parameters() * element.size()),
            Storage::Quantised(block) => {
                let len = block.len() as u64;
                let whole = self.d_model.is_multiple_of(len) && self.d_ff.is_multiple_of(len);
                let bytes = self.weights() / len * block.size() as u64 + self.bias_parameters() * Element::F32.size();
                whole.then_some(bytes)
            }
        }
    }

    /// The gated layer that equals this one by `rule`: its d_ff is rounded down to a whole number, multiplied (models of
    /// the Llama family have 1, 1.2, 1.3 or 1.5 here), rounded down again, then up to a multiple of `multiple_of`.
    ///
    /// # Errors
    /// [`SizingError`].
    pub fn gated_equivalent(self, rule: Equal, biases: bool, multiplier: f64, multiple_of: u64) -> Result<Self, SizingError> {
        features("multiple_of", multiple_of)?;
        if !(multiplier.is_finite() && multiplier > 0.0) {
            return Err(SizingError::Multiplier { value: multiplier });
        }
        let exact = match rule {
            Equal::Parameters if biases => self.parameters().saturating_sub(self.d_model) / (3 * self.d_model + 2),
            Equal::Parameters => self.parameters() / (3 * self.d_model),
            Equal::Flops => self.weights() / (3 * self.d_model),
            Equal::Width => self.d_ff,
        };
        // A cast saturates, and what is too much is refused below.
        let wanted = ((exact as f64 * multiplier) as u64).clamp(1, 2 * Self::MOST);
        Ok(Self::gated(self.d_model, wanted.next_multiple_of(multiple_of))?.with_biases(biases))
    }
}

fn features(what: &'static str, value: u64) -> Result<(), SizingError> {
    if (1..=LayerSize::MOST).contains(&value) { Ok(()) } else { Err(SizingError::Features { what, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// d_model, multiplier, multiple_of and the published intermediate_size of models whose dense predecessor had
    /// 4 d_model: the papers' and repositories' params.json (dim, ffn_dim_multiplier, multiple_of) and Hugging Face's
    /// config.json (hidden_size, intermediate_size).
    const PUBLISHED: [(&str, u64, f64, u64, u64); 11] = [
        ("LLaMA 65B", 8192, 1.0, 256, 22016),
        ("Llama 2 7B", 4096, 1.0, 256, 11008),
        ("Llama 2 13B", 5120, 1.0, 256, 13824),
        ("Llama 2 70B", 8192, 1.3, 4096, 28672),
        ("Llama 3 8B", 4096, 1.3, 1024, 14336),
        ("Llama 3 70B", 8192, 1.3, 4096, 28672),
        ("Llama 3.1 405B", 16384, 1.2, 4096, 53248),
        ("Llama 3.2 1B", 2048, 1.5, 256, 8192),
        ("TinyLlama 1.1B", 2048, 1.0, 256, 5632),
        ("SmolLM2 135M", 576, 1.0, 1, 1536),
        ("T5 1.1 base", 768, 1.0, 1, 2048),
    ];

    #[test]
    fn published_models_follow() {
        for (model, d_model, multiplier, multiple_of, d_ff) in PUBLISHED {
            let dense = LayerSize::dense(d_model, 4 * d_model).unwrap();
            for rule in [Equal::Parameters, Equal::Flops] {
                assert_eq!(dense.gated_equivalent(rule, false, multiplier, multiple_of).unwrap().d_ff(), d_ff, "{model}");
            }
        }
    }

    /// Llama 2 7B's 32 layers and BERT's 12, by the tensors in their files.
    #[test]
    fn counts_by_hand() {
        let llama = LayerSize::gated(4096, 11008).unwrap();
        assert_eq!(llama.parameters(), 135_266_304);
        assert_eq!((llama.forward_flops(), llama.backward_flops(Policy::Keep)), (270_532_608, 541_065_216));
        assert_eq!(llama.backward_flops(Policy::Recompute), 541_065_216 + 4 * 4096 * 11008);
        assert_eq!((llama.kept_elements(Policy::Keep), llama.kept_elements(Policy::Recompute)), (26112, 4096));
        assert_eq!(llama.weight_bytes(Storage::Plain(Element::Bf16)), Some(270_532_608));
        assert_eq!(llama.weight_bytes(Storage::Quantised(Block::Q4_0)), Some(135_266_304 / 32 * 18));
        let bert = LayerSize::dense(768, 3072).unwrap().with_biases(true);
        assert_eq!(bert.parameters(), 2 * 768 * 3072 + 3072 + 768);
        assert_eq!(bert.weight_bytes(Storage::Quantised(Block::Q8_0)), Some(2 * 768 * 96 * 34 + 4 * 3840));
        assert_eq!(bert.kept_elements(Policy::Keep), 3840);
        assert_eq!(LayerSize::dense(100, 64).unwrap().weight_bytes(Storage::Quantised(Block::Q8_0)), None);
    }

    /// Rounding up to a multiple adds less than that many features, and never takes any away.
    #[test]
    fn equal_is_as_near_as_the_multiple_allows() {
        for d_model in [1, 5, 64, 768] {
            for d_ff in [1, 3, 100, 3072] {
                for (old_biases, biases) in [(false, false), (true, false), (true, true), (false, true)] {
                    let old = LayerSize::dense(d_model, d_ff).unwrap().with_biases(old_biases);
                    let new = |multiple_of| old.gated_equivalent(Equal::Parameters, biases, 1.0, multiple_of).unwrap();
                    let one = new(1);
                    let wider = LayerSize { d_ff: one.d_ff() + 1, ..one };
                    assert!(wider.parameters() > old.parameters(), "{old:?}");
                    assert!(one.parameters() <= old.parameters() || one.d_ff() == 1, "{old:?}");
                    assert_eq!(new(32).d_ff(), one.d_ff().next_multiple_of(32));
                    assert_eq!(old.gated_equivalent(Equal::Width, biases, 1.0, 1).unwrap().d_ff(), d_ff);
                }
            }
        }
        let gated = LayerSize::gated(64, 96).unwrap();
        assert_eq!(gated.gated_equivalent(Equal::Parameters, false, 1.0, 1).unwrap(), gated);
    }

    #[test]
    fn sizes_that_no_layer_has_are_refused() {
        assert_eq!(LayerSize::dense(0, 4), Err(SizingError::Features { what: "d_model", value: 0 }));
        assert_eq!(LayerSize::gated(4, LayerSize::MOST + 1), Err(SizingError::Features { what: "d_ff", value: LayerSize::MOST + 1 }));
        let largest = LayerSize::dense(LayerSize::MOST, LayerSize::MOST).unwrap();
        assert!(largest.backward_flops(Policy::Recompute) > largest.parameters());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = largest.gated_equivalent(Equal::Width, false, wrong, 1);
            assert!(matches!(refused, Err(SizingError::Multiplier { .. })), "{wrong}");
        }
        assert!(largest.gated_equivalent(Equal::Width, false, 1e300, 1).is_err());
        assert!(largest.gated_equivalent(Equal::Width, false, 1.0, 0).is_err());
    }
}
