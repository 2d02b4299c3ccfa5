//! Random numbers that can be asked for at any place, so that gigabytes of them need not be kept to be checked.

use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Tensor};

/// Bytes that are made and uploaded at a time.
const CHUNK: usize = 64 << 20;

/// Numbers of either sign, exact in their kind, with magnitudes in [2^(exponent - 4), 2^exponent) and every bit of the
/// significand in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// Other numbers for another seed.
    pub seed: u64,
    /// Kind of the numbers.
    pub element: Element,
    /// Their size: magnitudes are below two to this. At least -10, so that f16 holds them as normal numbers.
    pub exponent: i32,
}

impl Noise {
    /// Numbers in (-2, 2).
    pub const fn new(seed: u64, element: Element) -> Self {
        Self { seed, element, exponent: 1 }
    }

    /// Weights whose products with other noise, summed over `depth`, are again about 1 in size.
    pub fn weights(seed: u64, element: Element, depth: usize) -> Self {
        Self { seed, element, exponent: (1 - depth.max(1).ilog2().div_ceil(2) as i32).max(-10) }
    }

    /// 32 random bits for a place: SplitMix64 (Steele et al. 2014) with the place for its state.
    fn bits(self, place: usize) -> u32 {
        let z = self.seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(place as u64 / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> (32 * (place & 1))) as u32
    }

    /// The number at a place as the bits of its kind: a sign, one of four exponents, a significand.
    fn pattern(self, place: usize) -> u32 {
        let bits = self.bits(place);
        let (sign_bit, fraction, bias) = match self.element {
            Element::F32 => (31, 23, 127),
            Element::F16 => (15, 10, 15),
            Element::Bf16 => (15, 7, 127),
        };
        let exponent = (bias + self.exponent - 1) as u32 - (bits >> 29 & 3);
        bits >> 31 << sign_bit | exponent << fraction | bits & ((1 << fraction) - 1)
    }

    /// The number at a place.
    pub fn at(self, place: usize) -> f32 {
        let pattern = self.pattern(place);
        match self.element {
            Element::F32 => f32::from_bits(pattern),
            Element::F16 => half::f16::from_bits(pattern as u16).to_f32(),
            Element::Bf16 => f32::from_bits(pattern << 16),
        }
    }

    /// The numbers at these places.
    pub fn values(self, places: std::ops::Range<usize>) -> Vec<f32> {
        places.map(|place| self.at(place)).collect()
    }

    /// A tensor of the numbers from place 0 on.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`]; [`Error::Gpu`] where the device is lost.
    pub fn tensor(self, gpu: &Gpu, shape: &[usize]) -> Result<Tensor, Error> {
        let tensor = gpu.zeros(shape, self.element)?;
        let size = self.element.size() as usize;
        let mut bytes = Vec::with_capacity(CHUNK.min(tensor.len() * size + 4));
        for first in (0..tensor.len()).step_by(CHUNK / size) {
            let places = first..tensor.len().min(first + CHUNK / size);
            bytes.clear();
            match self.element {
                Element::F32 => places.for_each(|place| bytes.extend_from_slice(&self.pattern(place).to_le_bytes())),
                Element::F16 | Element::Bf16 => {
                    places.for_each(|place| bytes.extend_from_slice(&(self.pattern(place) as u16).to_le_bytes()));
                }
            }
            // Writes are in whole words; tensors are padded to more than that.
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            gpu.queue().write_buffer(tensor.buffer(), (first * size) as u64, &bytes);
            // Lets go of the copy that the queue made; a browser keeps none of ours.
            gpu.queue().submit([]);
            #[cfg(not(target_arch = "wasm32"))]
            gpu.wait()?;
        }
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_in_their_kind_of_the_right_size_and_all_different() {
        for element in Element::ALL {
            for exponent in [1, -10] {
                let values = Noise { seed: 3, element, exponent }.values(0..4096);
                assert_eq!(element.decode(&element.encode(&values)), values);
                let (low, high) = (f32::exp2(exponent as f32 - 4.0), f32::exp2(exponent as f32));
                assert!(values.iter().all(|v| (low..high).contains(&v.abs())), "{element}");
                let negative = values.iter().filter(|v| **v < 0.0).count();
                assert!((1900..2200).contains(&negative), "{element}: {negative}");
                let mut fractions: Vec<u32> = values.iter().map(|v| v.to_bits() & 0x7f_ffff).collect();
                fractions.sort_unstable();
                fractions.dedup();
                let possible = 1_usize << (element.precision() - 1);
                assert!(fractions.len() * 10 > 9 * possible.min(values.len()), "{element}: {}", fractions.len());
            }
        }
    }

    #[test]
    fn weights_keep_sums_at_one() {
        let depth = 4096;
        let (x, w) = (Noise::new(1, Element::F32), Noise::weights(2, Element::F32, depth));
        let sums = (0..64).map(|row| (0..depth).map(|k| x.at(k) * w.at(row * depth + k)).sum::<f32>());
        let mean_square = sums.map(|sum| sum * sum).sum::<f32>() / 64.0;
        assert!((0.2..5.0).contains(&mean_square), "{mean_square}");
    }
}
