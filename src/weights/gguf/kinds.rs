//! ggml's kinds of tensors (`enum ggml_type`): their numbers in a file, and what their rows are made of.

use crate::element::Element;
use crate::quantised::Block;
use crate::weights::tensors::Encoding;

/// The kinds that are read.
const READ: &[(u32, Encoding)] = &[
    (0, Encoding::Plain(Element::F32)),
    (1, Encoding::Plain(Element::F16)),
    (30, Encoding::Plain(Element::Bf16)),
    (2, Encoding::Blocks(Block::Q4_0)),
    (3, Encoding::Blocks(Block::Q4_1)),
    (6, Encoding::Blocks(Block::Q5_0)),
    (7, Encoding::Blocks(Block::Q5_1)),
    (8, Encoding::Blocks(Block::Q8_0)),
    (12, Encoding::Blocks(Block::Q4_K)),
    (13, Encoding::Blocks(Block::Q5_K)),
    (14, Encoding::Blocks(Block::Q6_K)),
    (39, Encoding::Blocks(Block::MXFP4)),
];

/// The others: number, name, elements and bytes of a block.
const UNREAD: &[(u32, &str, u64, u64)] = &[
    (9, "Q8_1", 32, 40),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
];

/// What rows are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights) struct Layout {
    /// ggml's number.
    pub id: u32,
    /// Elements of a block; rows are whole blocks.
    pub len: u64,
    /// Bytes of a block.
    pub size: u64,
}

/// What a number stands for.
pub(super) fn encoding(id: u32) -> Encoding {
    let read = READ.iter().find(|(known, _)| *known == id).map(|(_, encoding)| encoding.clone());
    read.unwrap_or_else(|| {
        let name = UNREAD.iter().find(|(known, ..)| *known == id).map(|(_, name, ..)| (*name).to_owned());
        Encoding::Unsupported(name.unwrap_or_else(|| format!("ggml type {id}")))
    })
}

/// The layout of a kind that ggml has; `None` for any other.
pub(in crate::weights) fn layout(encoding: &Encoding) -> Option<Layout> {
    let id = || READ.iter().find(|(_, known)| known == encoding).map(|(id, _)| *id);
    match encoding {
        Encoding::Plain(element) => Some(Layout { id: id()?, len: 1, size: element.size() }),
        Encoding::Blocks(block) => Some(Layout { id: id()?, len: block.len() as u64, size: block.size() as u64 }),
        Encoding::Unsupported(name) => {
            UNREAD.iter().find(|(_, known, ..)| known == name).map(|(id, _, len, size)| Layout { id: *id, len: *len, size: *size })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_both_ways() {
        for id in READ.iter().map(|(id, _)| *id).chain(UNREAD.iter().map(|(id, ..)| *id)) {
            assert_eq!(layout(&encoding(id)).unwrap().id, id);
        }
        assert_eq!(READ.len(), Element::ALL.len() + Block::ALL.len());
        assert_eq!(layout(&encoding(99)), None);
    }
}
