//! Blocks of 32 values. The arithmetic is that of `gguf.quants.quantize`, one rounding each, so that the bytes are the same;
//! where that depends on how a processor makes an integer of a number that has none, codes are 0 here.

use super::{largest, put};
use crate::quantised::Block;

/// What numbers are multiplied by to become codes.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The integer below `x`, up to `most`; 0 where the scale was so small that its inverse is infinite.
fn code(x: f32, most: u8) -> u8 {
    if x.is_finite() { (x as u8).min(most) } else { 0 }
}

/// Low nibbles at `at ..`: value j in the lower half of byte j, value j + 16 in the upper.
fn nibbles(bytes: &mut [u8], at: usize, codes: &[u8]) {
    let (low, high) = codes.split_at(codes.len() / 2);
    for (byte, (low, high)) in bytes.iter_mut().skip(at).zip(low.iter().zip(high)) {
        *byte = low & 15 | high << 4;
    }
}

/// Codes of four or five bits from `at` on; of five, the fifth bits come first.
fn put_codes(bits: u32, bytes: &mut [u8], at: usize, codes: &[u8]) {
    if bits == 5 {
        for (byte, codes) in bytes.iter_mut().skip(at).zip(codes.chunks(8)) {
            *byte = codes.iter().enumerate().fold(0, |byte, (i, code)| byte | (code >> 4) << i);
        }
    }
    nibbles(bytes, if bits == 5 { at + 4 } else { at }, codes);
}

/// Q8_0: the largest magnitude becomes 127.
pub(super) fn q8_0(values: &[f32], bytes: &mut [u8]) -> Option<()> {
    let scale = largest(values).1.abs() / 127.0;
    let inverse = inverse(scale);
    for (byte, value) in bytes.iter_mut().skip(2).zip(values) {
        let x = (value * inverse).round();
        *byte = if x.is_finite() { (x as i8).cast_unsigned() } else { 0 };
    }
    put(bytes, 0, scale)
}

/// Q4_0 and Q5_0: the number of largest magnitude becomes the lowest code, whose distance from zero is one more than that of
/// the highest; the scale has its sign.
pub(super) fn symmetric(bits: u32, values: &[f32], bytes: &mut [u8]) -> Option<()> {
    let half = (1_u8 << (bits - 1)) as f32;
    let scale = largest(values).1 / -half;
    let inverse = inverse(scale);
    let codes: Vec<u8> = values.iter().map(|value| code(value * inverse + (half + 0.5), (1 << bits) - 1)).collect();
    put_codes(bits, bytes, 2, &codes);
    put(bytes, 0, scale)
}

/// Q4_1 and Q5_1: the smallest number becomes 0, the largest the highest code.
pub(super) fn affine(bits: u32, values: &[f32], bytes: &mut [u8]) -> Option<()> {
    let most = (1_u8 << bits) - 1;
    // Of zeros of both signs the last.
    let low = values.iter().copied().fold(f32::INFINITY, |low, value| if value <= low { value } else { low });
    let high = values.iter().copied().fold(f32::NEG_INFINITY, |high, value| if value >= high { value } else { high });
    let scale = (high - low) / f32::from(most);
    let inverse = inverse(scale);
    let codes: Vec<u8> = values.iter().map(|value| code((value - low) * inverse + 0.5, most)).collect();
    put_codes(bits, bytes, 4, &codes);
    put(bytes, 0, scale)?;
    put(bytes, 2, low)
}

/// MXFP4: the power of two at or below the largest magnitude becomes 4, and each number the nearest of E2M1, the first of two.
pub(super) fn mxfp4(values: &[f32], bytes: &mut [u8]) -> Option<()> {
    let most = largest(values).1.abs();
    // The logarithm in f32 is the next whole number a little below some powers of two. Exponents below 0, which wrap around
    // in the gguf package, are 0.
    let logarithm = libm::log2(f64::from(most)) as f32;
    let exponent = if most > 0.0 { (logarithm.floor() - 2.0 + 127.0) as u8 } else { 0 };
    let scale = Block::half_power(exponent);
    let levels = Block::E2M1_DOUBLED.map(|level| scale * f32::from(level));
    let nearest = |value: &f32| {
        let distances = levels.iter().map(|level| (level - value).abs()).zip(0_u8..);
        distances.fold((f32::INFINITY, 0), |best, one| if one.0 < best.0 { one } else { best }).1
    };
    let codes: Vec<u8> = values.iter().map(nearest).collect();
    nibbles(bytes, 1, &codes);
    *bytes.first_mut()? = exponent;
    Some(())
}
