//! How quantised matrices lie in GPU memory: row by row, and a row holds first the low bits of all its codes, then their
//! high bits, then what scales them, each in words of 32 bits. Kernels for few and for many tokens read the same rows.

use std::fmt;

use half::f16;

use super::block::Block;
use super::int4::Int4;
use crate::element::Element;

/// What a kernel must know of quantised weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Packing {
    /// What ggml's blocks hold.
    Block(Block),
    /// Four bits, and for every so many inputs a scale and a zero point in f32.
    Int4 {
        /// Inputs of a group, a multiple of 32.
        group: u32,
    },
}

/// How a matrix of weights is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WeightKind {
    /// Every number as one element.
    Plain(Element),
    /// Quantised.
    Packed(Packing),
}

impl Packing {
    /// Rows are whole multiples of so many numbers.
    pub const fn multiple(self) -> usize {
        match self {
            Self::Block(block) => block.len(),
            Self::Int4 { group } => group as usize,
        }
    }

    /// Low bits of a code: 4 or 8.
    pub const fn low_bits(self) -> usize {
        match self {
            Self::Block(Block::Q8_0) => 8,
            _ => 4,
        }
    }

    /// Bits above them: 0, 1 or 2.
    pub const fn high_bits(self) -> usize {
        match self {
            Self::Block(Block::Q5_0 | Block::Q5_1 | Block::Q5_K) => 1,
            Self::Block(Block::Q6_K) => 2,
            _ => 0,
        }
    }

    /// Numbers that share a scale.
    pub const fn group(self) -> usize {
        match self {
            Self::Block(Block::Q6_K) => 16,
            Self::Block(_) => 32,
            Self::Int4 { group } => group as usize,
        }
    }

    /// Whether a number is scale * code + offset, and not scale * (code - zero point).
    pub const fn has_offsets(self) -> bool {
        matches!(self, Self::Block(Block::Q4_1 | Block::Q5_1 | Block::Q4_K | Block::Q5_K))
    }

    /// Words of a row's scales.
    const fn scale_words(self, cols: usize) -> usize {
        match self {
            Self::Block(Block::Q8_0 | Block::Q4_0 | Block::Q5_0) => cols.div_ceil(64),
            Self::Block(Block::Q4_1 | Block::Q5_1) => cols / 32,
            Self::Block(Block::Q4_K | Block::Q5_K | Block::Q6_K) => cols / 256 + cols / 64,
            Self::Block(Block::MXFP4) => cols.div_ceil(128),
            Self::Int4 { group } => 2 * (cols / group as usize),
        }
    }

    /// Words of a row of `cols` numbers: a multiple of four, since kernels load vectors.
    pub const fn row_words(self, cols: usize) -> usize {
        (cols * (self.low_bits() + self.high_bits()) / 32 + self.scale_words(cols)).next_multiple_of(4)
    }
}

impl WeightKind {
    /// Every kind that a file of weights may have for a whole matrix; int4 comes with a group of its own.
    pub const ALL: [Self; 12] = {
        let [a, b, c] = Element::ALL;
        let [d, e, f, g, h, i, j, k, l] = Block::ALL;
        [
            Self::Plain(a),
            Self::Plain(b),
            Self::Plain(c),
            Self::Packed(Packing::Block(d)),
            Self::Packed(Packing::Block(e)),
            Self::Packed(Packing::Block(f)),
            Self::Packed(Packing::Block(g)),
            Self::Packed(Packing::Block(h)),
            Self::Packed(Packing::Block(i)),
            Self::Packed(Packing::Block(j)),
            Self::Packed(Packing::Block(k)),
            Self::Packed(Packing::Block(l)),
        ]
    };

    /// Bytes of GPU memory of a matrix.
    pub fn bytes(self, rows: usize, cols: usize) -> u64 {
        let row = match self {
            Self::Plain(element) => (cols as u64).saturating_mul(element.size()),
            Self::Packed(packing) => 4 * packing.row_words(cols) as u64,
        };
        row.saturating_mul(rows as u64)
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain(element) => element.name(),
            Self::Packed(Packing::Block(block)) => block.lower_name(),
            Self::Packed(Packing::Int4 { .. }) => "int4",
        }
    }

    /// The element, where there is one for each number.
    pub const fn element(self) -> Option<Element> {
        match self {
            Self::Plain(element) => Some(element),
            Self::Packed(_) => None,
        }
    }
}

impl From<Element> for WeightKind {
    fn from(element: Element) -> Self {
        Self::Plain(element)
    }
}

/// ggml's name in lower case, or `int4g128`.
impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => f.write_str(block.lower_name()),
            Self::Int4 { group } => write!(f, "int4g{group}"),
        }
    }
}

impl fmt::Display for WeightKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(element) => element.fmt(f),
            Self::Packed(packing) => packing.fmt(f),
        }
    }
}

/// Words in the making: bits are set at places that are counted in units of so many bits.
struct Words<'a>(&'a mut [u32]);

impl Words<'_> {
    fn put(&mut self, unit: usize, bits: usize, value: u32) {
        if let Some(word) = self.0.get_mut(unit * bits / 32) {
            *word |= value << (unit * bits % 32);
        }
    }
}

/// Packs one row of ggml's blocks; `out` holds [`Packing::row_words`] zeros.
pub(crate) fn pack_blocks(block: Block, row: &[u8], out: &mut [u32]) {
    let packing = Packing::Block(block);
    let cols = row.len() / block.size() * block.len();
    let (low, high) = (packing.low_bits(), packing.high_bits());
    let (codes, rest) = out.split_at_mut((cols * low / 32).min(out.len()));
    let (tops, scales) = rest.split_at_mut((cols * high / 32).min(rest.len()));
    let (mut codes, mut tops, mut scales) = (Words(codes), Words(tops), Words(scales));
    for (number, bytes) in row.chunks_exact(block.size()).enumerate() {
        let unpacked = block.unpack(bytes);
        for (i, code) in unpacked.codes.iter().take(block.len()).enumerate() {
            let (at, code) = (number * block.len() + i, u32::from(*code));
            codes.put(at, low, code & ((1 << low) - 1));
            if high > 0 {
                tops.put(at, high, code >> low);
            }
        }
        let [d, m] = [unpacked.d, unpacked.m].map(|scale| u32::from(f16::from_f32(scale).to_bits()));
        match block {
            Block::Q8_0 | Block::Q4_0 | Block::Q5_0 => scales.put(number, 16, d),
            Block::Q4_1 | Block::Q5_1 => scales.put(number, 32, d | m << 16),
            Block::Q4_K | Block::Q5_K => {
                scales.put(number, 32, d | m << 16);
                for (j, (scale, offset)) in unpacked.scales.iter().zip(unpacked.offsets).enumerate() {
                    let bytes = u32::from(scale.cast_unsigned()) | u32::from(offset) << 8;
                    scales.put(cols / 256 * 2 + number * 8 + j, 16, bytes);
                }
            }
            Block::Q6_K => {
                scales.put(number, 32, d);
                for (j, scale) in unpacked.scales.iter().enumerate() {
                    scales.put(cols / 256 * 4 + number * 16 + j, 8, u32::from(scale.cast_unsigned()));
                }
            }
            Block::MXFP4 => scales.put(number, 8, u32::from(bytes.first().copied().unwrap_or(0))),
        }
    }
}

/// Packs one row of int4; `out` holds [`Packing::row_words`] zeros.
pub(crate) fn pack_int4(int4: &Int4, row: usize, out: &mut [u32]) {
    let [_, cols] = int4.shape;
    let groups = cols / int4.group.max(1);
    let (codes, scales) = out.split_at_mut((cols / 8).min(out.len()));
    let (mut codes, mut scales) = (Words(codes), Words(scales));
    for col in 0..cols {
        codes.put(col, 4, u32::from(int4.code(row, col)));
    }
    for group in 0..groups {
        let at = row * groups + group;
        let (scale, zero) = (int4.scales.get(at).copied().unwrap_or(0.0), int4.zeros.get(at).copied().unwrap_or(0));
        scales.put(2 * group, 32, scale.to_bits());
        scales.put(2 * group + 1, 32, f32::from(zero).to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_cost_little_more_than_their_blocks() {
        for block in Block::ALL {
            for cols in [2048, 4096, 14336] {
                let (packed, stored) = (4 * Packing::Block(block).row_words(cols), cols / block.len() * block.size());
                assert!(packed as f64 <= 1.04 * stored as f64, "{block:?}: {packed} of {stored} bytes");
            }
        }
        assert_eq!(Packing::Int4 { group: 128 }.row_words(4096), 4096 / 8 + 64);
    }

    #[test]
    fn codes_and_scales_lie_in_order() {
        let mut block = f16::from_f32(0.5).to_le_bytes().to_vec();
        block.extend((0..16_u8).map(|j| j | (15 - j) << 4));
        let row = [block.clone(), block].concat();
        let mut out = vec![0; Packing::Block(Block::Q4_0).row_words(64)];
        pack_blocks(Block::Q4_0, &row, &mut out);
        assert_eq!(out[..4], [0x7654_3210, 0xfedc_ba98, 0x89ab_cdef, 0x0123_4567]);
        assert_eq!((out[8], out.len()), (0x3800_3800, 12));
    }
}
