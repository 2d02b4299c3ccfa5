//! ggml's quantised blocks, as f32. The products are ggml's own, one rounding each, so the numbers are bit for bit those of
//! `gguf.quants.dequantize` (<https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>).

use half::f16;

/// A kind of quantised block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types, reason = "ggml's names")]
pub enum Block {
    /// Scale and 32 signed bytes: `d * q`.
    Q8_0,
    /// Scale and 32 nibbles: `d * (q - 8)`.
    Q4_0,
    /// Scale, offset and 32 nibbles: `d * q + m`.
    Q4_1,
    /// Scale and 32 numbers of five bits: `d * (q - 16)`.
    Q5_0,
    /// Scale, offset and 32 numbers of five bits: `d * q + m`.
    Q5_1,
    /// 256 nibbles, 32 of which share a scale and an offset of six bits each: `d * scale * q - dmin * offset`.
    Q4_K,
    /// As [`Block::Q4_K`], with numbers of five bits.
    Q5_K,
    /// 256 numbers of six bits, 16 of which share a signed scale of eight bits: `d * scale * (q - 32)`.
    Q6_K,
    /// 32 numbers of four bits (E2M1: 0 0.5 1 1.5 2 3 4 6, with a sign) and a power of two as their scale
    /// (OCP Microscaling Formats 1.0).
    MXFP4,
}

/// What is in a block: codes in the order of its values, and what scales them.
#[derive(Debug, Clone, PartialEq)]
pub struct Unpacked {
    /// As unsigned numbers: of [`Block::Q8_0`] 128 more than the signed ones, of [`Block::MXFP4`] the bits.
    pub codes: [u8; Block::LONGEST],
    /// The scale of the block. Of [`Block::MXFP4`], whose numbers ggml keeps doubled, half of its power of two.
    pub d: f32,
    /// Its offset, or what scales the groups' offsets.
    pub m: f32,
    /// Scales of groups.
    pub scales: [i8; 16],
    /// Offsets of groups.
    pub offsets: [u8; 8],
}

impl Block {
    /// Every kind.
    pub const ALL: [Self; 9] =
        [Self::Q8_0, Self::Q4_0, Self::Q4_1, Self::Q5_0, Self::Q5_1, Self::Q4_K, Self::Q5_K, Self::Q6_K, Self::MXFP4];

    /// Values in the longest block.
    pub const LONGEST: usize = 256;

    /// Twice the numbers of E2M1, by their bits.
    pub const E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// Values in a block.
    #[allow(clippy::len_without_is_empty, reason = "no block is empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::MXFP4 => 32,
        }
    }

    /// ggml's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::MXFP4 => "MXFP4",
        }
    }

    /// The same in lower case, as on the command line.
    pub const fn lower_name(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q4_K => "q4_k",
            Self::Q5_K => "q5_k",
            Self::Q6_K => "q6_k",
            Self::MXFP4 => "mxfp4",
        }
    }

    /// Bytes of a block.
    pub const fn size(self) -> usize {
        match self {
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
            Self::MXFP4 => 17,
        }
    }

    /// Takes one block apart; bytes that are not there count as 0.
    pub fn unpack(self, bytes: &[u8]) -> Unpacked {
        let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let half = |i: usize| f16::from_le_bytes([byte(i), byte(i + 1)]).to_f32();
        // Byte j of `at ..` holds values j and j + 16 of a block of 32.
        let nibble = |at: usize, i: usize| (byte(at + i % 16) >> (i / 16 * 4)) & 15;
        let mut unpacked = Unpacked { codes: [0; Self::LONGEST], d: half(0), m: 0.0, scales: [0; 16], offsets: [0; 8] };
        let code: &dyn Fn(usize) -> u8 = match self {
            Self::Q8_0 => &|i| byte(2 + i) ^ 0x80,
            Self::Q4_0 => &|i| nibble(2, i),
            Self::Q4_1 => &|i| nibble(4, i),
            Self::Q5_0 => &|i| nibble(6, i) | (byte(2 + i / 8) >> (i % 8) & 1) << 4,
            Self::Q5_1 => &|i| nibble(8, i) | (byte(4 + i / 8) >> (i % 8) & 1) << 4,
            // In every 64, byte j holds values j and j + 32.
            Self::Q4_K => &|i| byte(16 + i / 64 * 32 + i % 32) >> (i / 32 % 2 * 4) & 15,
            Self::Q5_K => &|i| byte(48 + i / 64 * 32 + i % 32) >> (i / 32 % 2 * 4) & 15 | (byte(16 + i % 32) >> (i / 32) & 1) << 4,
            // In every 128, byte j of 64 holds values j and j + 64; byte j of 32 two bits of four values 32 apart.
            Self::Q6_K => {
                &|i| byte(i / 128 * 64 + i % 64) >> (i / 64 % 2 * 4) & 15 | (byte(128 + i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3) << 4
            }
            Self::MXFP4 => &|i| nibble(1, i),
        };
        for (i, q) in unpacked.codes.iter_mut().take(self.len()).enumerate() {
            *q = code(i);
        }
        match self {
            Self::Q4_1 | Self::Q5_1 => unpacked.m = half(2),
            Self::Q4_K | Self::Q5_K => {
                unpacked.m = half(2);
                // Six bits each in twelve bytes: the last four groups' upper two lie above the first four's.
                for j in 0..4 {
                    let (low, high, mixed) = (byte(4 + j), byte(8 + j), byte(12 + j));
                    unpacked.scales[j] = (low & 63).cast_signed();
                    unpacked.offsets[j] = high & 63;
                    unpacked.scales[j + 4] = (mixed & 15 | low >> 6 << 4).cast_signed();
                    unpacked.offsets[j + 4] = mixed >> 4 | high >> 6 << 4;
                }
            }
            Self::Q6_K => {
                unpacked.d = half(208);
                for (j, scale) in unpacked.scales.iter_mut().enumerate() {
                    *scale = byte(192 + j).cast_signed();
                }
            }
            Self::MXFP4 => unpacked.d = Self::half_power(byte(0)),
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 => {}
        }
        unpacked
    }

    /// Sets the scales of a block to 1, and its offset or those of its groups to a whole number.
    pub fn set_unit_scales(self, bytes: &mut [u8]) {
        let mut set = |at: usize, values: &[u8]| {
            if let Some(bytes) = bytes.get_mut(at..at + values.len()) {
                bytes.copy_from_slice(values);
            }
        };
        let one = f16::ONE.to_le_bytes();
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 => set(0, &one),
            Self::Q4_1 | Self::Q5_1 => {
                set(0, &one);
                set(2, &f16::from_f32(-8.0).to_le_bytes());
            }
            Self::Q4_K | Self::Q5_K => {
                set(0, &one);
                set(2, &one);
                set(4, &[1, 1, 1, 1, 8, 8, 8, 8, 0x81, 0x81, 0x81, 0x81]);
            }
            Self::Q6_K => {
                set(192, &[1; 16]);
                set(208, &one);
            }
            Self::MXFP4 => set(0, &[128]),
        }
    }

    /// The values of whole blocks, appended to `out`; a trailing incomplete block is ignored.
    pub fn dequantise(self, blocks: &[u8], out: &mut impl Extend<f32>) {
        for block in blocks.chunks_exact(self.size()) {
            let Unpacked { codes, d, m, scales, offsets } = self.unpack(block);
            let values = codes.iter().take(self.len()).enumerate().map(|(i, code)| {
                let q = f32::from(*code);
                match self {
                    Self::Q8_0 => d * (q - 128.0),
                    Self::Q4_0 => d * (q - 8.0),
                    Self::Q5_0 => d * (q - 16.0),
                    Self::Q4_1 | Self::Q5_1 => d * q + m,
                    Self::Q4_K | Self::Q5_K => d * f32::from(scales[i / 32]) * q - m * f32::from(offsets[i / 32]),
                    Self::Q6_K => d * f32::from(scales[i / 16]) * (q - 32.0),
                    Self::MXFP4 => d * f32::from(Self::E2M1_DOUBLED[usize::from(code & 15)]),
                }
            });
            out.extend(values);
        }
    }

    /// Half of the power of two that a byte of [`Block::MXFP4`] stands for: `2^(e - 128)`.
    pub(super) fn half_power(e: u8) -> f32 {
        f32::from_bits(if e < 2 { 0x0020_0000 << e } else { u32::from(e - 1) << 23 })
    }
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
        assert_eq!(out.len(), 32);
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
