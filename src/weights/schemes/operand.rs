//! What a tensor can be to a layer, and what its name says of that.

/// What a tensor is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::weights) struct Key {
    pub part: Part,
    pub role: Role,
    pub piece: Piece,
}

/// Which of a layer's networks a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::weights) enum Part {
    /// The only one.
    Network,
    /// All experts of a mixture, in one tensor.
    Experts,
    /// One expert.
    Expert(usize),
    /// The expert that every token goes through.
    Shared,
}

/// What a tensor is to the network; without a gate, `Up` is the first linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::weights) enum Role {
    Gate,
    Up,
    Down,
    /// Gate and up in one tensor.
    GateUp,
    /// What makes logits, one for each expert.
    Router,
    /// Added to the scores for the choice of experts alone.
    ChoiceBias,
    /// What weighs the shared expert.
    SharedGate,
}

/// What a tensor is to its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::weights) enum Piece {
    Weight,
    Bias,
    /// GPTQ's and AWQ's `qweight`, `qzeros`, `scales` and `g_idx`.
    Codes,
    Zeros,
    Scales,
    Groups,
    /// gpt-oss's MXFP4: numbers, and a power of two for each 32 of them.
    Blocks,
    BlockScales,
}

/// How the tensors of an operand are called after its module.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// A module of Hugging Face's, quantised or not.
    Linear,
    /// A parameter without a module of its own.
    Parameter,
    /// A tensor of ggml's.
    Ggml,
    /// The name is whole.
    Whole(Piece),
}

impl Form {
    /// Suffixes and what they mean.
    fn pieces(self) -> &'static [(&'static str, Piece)] {
        match self {
            Self::Linear => &[
                (".weight", Piece::Weight),
                (".bias", Piece::Bias),
                (".qweight", Piece::Codes),
                (".qzeros", Piece::Zeros),
                (".scales", Piece::Scales),
                (".g_idx", Piece::Groups),
            ],
            Self::Parameter => &[("", Piece::Weight), ("_bias", Piece::Bias), ("_blocks", Piece::Blocks), ("_scales", Piece::BlockScales)],
            Self::Ggml => &[(".weight", Piece::Weight), (".bias", Piece::Bias)],
            Self::Whole(Piece::Bias) => &[("", Piece::Bias)],
            Self::Whole(_) => &[("", Piece::Weight)],
        }
    }
}

/// An operand and its module; a `*` in it stands for the number of an expert.
#[derive(Debug)]
pub(super) struct Operand {
    pub part: Part,
    pub role: Role,
    pub module: &'static str,
    pub form: Form,
}

impl Operand {
    /// What the rest of a name, after the layer's number, is to this operand.
    pub fn key(&self, rest: &str) -> Option<Key> {
        let (part, suffix) = match self.module.split_once('*') {
            None => (self.part, rest.strip_prefix(self.module)?),
            Some((head, foot)) => {
                let rest = rest.strip_prefix(head)?;
                let (expert, rest) = rest.split_at_checked(rest.find('.')?)?;
                (Part::Expert(number(expert)?), rest.strip_prefix(foot)?)
            }
        };
        let piece = self.form.pieces().iter().find(|(name, _)| *name == suffix).map(|(_, piece)| *piece)?;
        Some(Key { part, role: self.role, piece })
    }

    /// The rest of the name of one of its tensors, where it has such a one.
    pub fn name(&self, key: Key) -> Option<String> {
        let starred = self.module.contains('*');
        let module = match key.part {
            Part::Expert(expert) if starred => self.module.replace('*', &expert.to_string()),
            part if part == self.part && !starred => self.module.to_owned(),
            _ => return None,
        };
        let suffix = self.form.pieces().iter().find(|(_, piece)| *piece == key.piece && self.role == key.role)?.0;
        Some(format!("{module}{suffix}"))
    }
}

/// A decimal number as it is written, without leading zeros or signs.
pub(super) fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n: &usize| n.to_string() == text)
}
