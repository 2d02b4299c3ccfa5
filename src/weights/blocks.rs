//! ggml's quantised blocks of 32 values, as f32. The products are ggml's own, one rounding each, so the numbers are
//! bit for bit those of `gguf.quants.dequantize` (<https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>).

use half::f16;

/// A kind of quantised block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Block {
    /// Scale and 32 signed bytes: `d * q`.
    Q8_0,
    /// Scale and 32 nibbles: `d * (q - 8)`.
    Q4_0,
    /// Scale, offset and 32 nibbles: `d * q + m`.
    Q4_1,
}

impl Block {
    /// Values in a block.
    pub const LEN: usize = 32;

    /// ggml's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
        }
    }

    /// Bytes of a block.
    pub const fn size(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
        }
    }

    /// The values of whole blocks, appended to `out`; a trailing incomplete block is ignored.
    pub fn dequantise(self, blocks: &[u8], out: &mut impl Extend<f32>) {
        for block in blocks.chunks_exact(self.size()) {
            let ([d0, d1, rest @ ..], [_, _, m0, m1, ..]) = (block, block) else { continue };
            let d = f16::from_le_bytes([*d0, *d1]).to_f32();
            match self {
                Self::Q8_0 => out.extend(rest.iter().map(|q| d * f32::from(q.cast_signed()))),
                Self::Q4_0 => out.extend(nibbles(rest).map(|q| d * (f32::from(q) - 8.0))),
                Self::Q4_1 => {
                    let m = f16::from_le_bytes([*m0, *m1]).to_f32();
                    out.extend(nibbles(rest.get(2..).unwrap_or_default()).map(|q| d * f32::from(q) + m));
                }
            }
        }
    }
}

/// All low nibbles, then all high ones: byte j holds values j and j + 16.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|b| b & 15).chain(bytes.iter().map(|b| b >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dequantised(kind: Block, scales: &[f32], quants: &[u8]) -> Vec<f32> {
        let mut block: Vec<u8> = scales.iter().flat_map(|s| f16::from_f32(*s).to_le_bytes()).collect();
        block.extend(quants);
        assert_eq!(block.len(), kind.size());
        let mut out = Vec::new();
        kind.dequantise(&block, &mut out);
        assert_eq!(out.len(), Block::LEN);
        out
    }

    #[test]
    fn values_lie_where_ggml_has_them() {
        let bytes: Vec<u8> = (0..32u8).map(|q| q.wrapping_sub(16)).collect();
        let want: Vec<f32> = (-16..16).map(|q| 0.5 * q as f32).collect();
        assert_eq!(dequantised(Block::Q8_0, &[0.5], &bytes), want);

        let packed: Vec<u8> = (0..16u8).map(|j| j | ((15 - j) << 4)).collect();
        let order: Vec<f32> = (0..16).chain((0..16).rev()).map(|q| q as f32).collect();
        let want: Vec<f32> = order.iter().map(|q| -2.0 * (q - 8.0)).collect();
        assert_eq!(dequantised(Block::Q4_0, &[-2.0], &packed), want);
        let want: Vec<f32> = order.iter().map(|q| 0.25 * q - 1.0).collect();
        assert_eq!(dequantised(Block::Q4_1, &[0.25, -1.0], &packed), want);
    }

    #[test]
    fn subnormal_scales_are_exact() {
        let d = f16::from_bits(1).to_f32();
        assert_eq!(dequantised(Block::Q8_0, &[d], &[0x80; 32]), [-128.0 * d; 32]);
    }
}
