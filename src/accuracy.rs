//! Errors in units in the last place, the inputs they are measured on, and the judgement.

use crate::element::Element;

/// One result beside the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What the device returned.
    pub actual: f32,
    /// What is right.
    pub truth: f64,
    /// Absolute error that is forgiven beside the bound in ULP: 2^-23 of the terms that cancel, or 0.
    pub forgiven: f64,
}

/// Distance between neighbouring numbers of this kind around `value`; that of the subnormals below the smallest normal number.
pub fn ulp(element: Element, value: f64) -> f64 {
    let exponent = if value == 0.0 || !value.is_finite() { element.min_exponent() } else { libm::ilogb(value).max(element.min_exponent()) };
    libm::ldexp(1.0, exponent - (element.precision() - 1))
}

/// The smallest normal number of this kind.
pub fn min_normal(element: Element) -> f64 {
    libm::ldexp(1.0, element.min_exponent())
}

impl Sample {
    /// Error in units in the last place of the truth. Infinite where one is NaN and the other is not, or where
    /// an infinity is on one side only and not next to the largest finite number.
    pub fn error_ulp(&self, element: Element) -> f64 {
        let Self { actual, truth, .. } = *self;
        if truth.is_nan() || actual.is_nan() {
            return if truth.is_nan() && actual.is_nan() { 0.0 } else { f64::INFINITY };
        }
        // In this kind, the number after the largest is infinity.
        let overflow = libm::ldexp(1.0, libm::ilogb(element.max()) + 1);
        let place = |v: f64| v.clamp(-overflow, overflow);
        (place(f64::from(actual)) - place(truth)).abs() / ulp(element, place(truth).clamp(-element.max(), element.max()))
    }

    /// Whether the error is within `allowed` ULP or forgiven, or the truth is below f32's normal numbers and so is
    /// the result: devices may flush those.
    pub fn within(&self, element: Element, allowed: f64) -> bool {
        let error = self.error_ulp(element);
        let flushed = self.truth.abs() < min_normal(Element::F32) && f64::from(self.actual.abs()) <= min_normal(Element::F32);
        error <= allowed || flushed || self.is_forgiven()
    }

    fn is_forgiven(&self) -> bool {
        (f64::from(self.actual) - self.truth).abs() <= self.forgiven
    }
}

/// The sample at `x`; where `x` is subnormal and that sample is out of bounds, the one at the zero that a device may
/// take `x` for.
pub fn judged(element: Element, allowed: f64, x: f32, sample: impl Fn(f32) -> Sample) -> Sample {
    let kept = sample(x);
    if !x.is_subnormal() || kept.within(element, allowed) {
        return kept;
    }
    let flushed = sample(0.0_f32.copysign(x));
    if flushed.within(element, allowed) { flushed } else { kept }
}

/// The largest error of many samples, and how many breach a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// Largest error in ULP among the breaches; without any, among samples whose truth is a normal number (or not
    /// finite) and that needed no forgiving.
    pub ulp: f64,
    /// Number of the sample with that error; of the first breach if there is one.
    pub index: usize,
    /// Samples outside the bound.
    pub breaches: usize,
}

/// Judges every sample.
pub fn worst(samples: &[Sample], element: Element, allowed: f64) -> Worst {
    let mut worst = Worst { ulp: 0.0, index: 0, breaches: 0 };
    for (index, sample) in samples.iter().enumerate() {
        let error = sample.error_ulp(element);
        let breach = !sample.within(element, allowed);
        let forgiven = error > allowed && sample.is_forgiven();
        let normal = sample.truth.abs() >= min_normal(Element::F32) || !sample.truth.is_finite();
        // The first breach takes the place of any error that was allowed.
        let first_breach = breach && worst.breaches == 0;
        let larger = error > worst.ulp && (breach || (worst.breaches == 0 && normal && !forgiven));
        if first_breach || larger {
            (worst.ulp, worst.index) = (error, index);
        }
        worst.breaches += usize::from(breach);
    }
    worst
}

/// A small generator of test inputs with a fixed seed (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that always starts the same.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.bits() >> 40) as f32 / (1 << 24) as f32;
        low + unit * (high - low)
    }

    /// Either sign, magnitude in [1/4, 4): never near 0, never near overflow.
    pub fn factor(&mut self) -> f32 {
        let exponent = 125 + (self.bits() % 4) as u32;
        let bits = ((self.bits() as u32) & 0x807f_ffff) | (exponent << 23);
        f32::from_bits(bits)
    }
}

/// Infinities, NaNs, zeros, subnormals, the largest numbers, and neighbours of the kinks.
pub const SPECIALS: [f32; 36] = [
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    0.0,
    -0.0,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-40,
    -1e-40,
    1e38,
    -1e38,
    1.0,
    -1.0,
    0.5,
    -0.5,
    3.0,
    -3.0,
    2.999_999_8,
    -2.999_999_8,
    3.000_000_2,
    -3.000_000_2,
    6.0,
    5.999_999_5,
    10.0,
    20.0,
    20.000_002,
    -87.0,
    -88.5,
    -103.0,
    -104.5,
    88.8,
    -1.5,
    7.0,
    -7.0,
];

/// Inputs for f32 that visit every exponent with both signs, the interval where activations bend, and [`SPECIALS`]. Never
/// drawn from a normal distribution, which would miss all that is hard.
pub fn sweep() -> Vec<f32> {
    let mut random = Random::new(1);
    let mut inputs = SPECIALS.to_vec();
    for exponent in 0..255_u32 {
        for sign in [0, 1_u32 << 31] {
            let fixed = [0, 1, 0x3f_ffff, 0x40_0000, 0x7f_ffff];
            inputs.extend(fixed.map(|mantissa| f32::from_bits(sign | exponent << 23 | mantissa)));
            // The exponents in which something happens get more.
            let count = if (100..135).contains(&exponent) { 400 } else { 16 };
            inputs.extend((0..count).map(|_| f32::from_bits(sign | exponent << 23 | (random.bits() as u32 & 0x7f_ffff))));
        }
    }
    // Evenly over the bend, and its far left, where tails underflow.
    inputs.extend((0..40_000).map(|i| -20.0 + i as f32 / 1000.0 + random.uniform(0.0, 1e-3)));
    inputs.extend((0..8_000).map(|i| -180.0 + i as f32 / 50.0 + random.uniform(0.0, 0.02)));
    // Around the roots of the derivatives of silu, gelu, gelu_tanh, mish and quick_gelu.
    for root in [-1.278_464_5_f32, -0.751_791_5, -0.752_461_4, -1.192_431_2, -0.751_154_2] {
        inputs.extend((0..256_u32).map(|i| f32::from_bits(root.to_bits() - 128 + i)));
    }
    inputs
}

/// The inputs on which a kind is judged: all 65,536 values of the 16-bit kinds, [`sweep`] for f32.
pub fn inputs(element: Element) -> Vec<f32> {
    match element {
        Element::F32 => sweep(),
        Element::F16 | Element::Bf16 => element.decode(&(0..=u16::MAX).flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(actual: f32, truth: f64) -> Sample {
        Sample { actual, truth, forgiven: 0.0 }
    }

    #[test]
    fn one_unit_is_one_ulp_everywhere() {
        for value in [1.0_f32, 1.5, 3.0, 1e-30, 1e30, f32::MIN_POSITIVE, -2.0] {
            let next = f32::from_bits(value.to_bits() + 1);
            assert_eq!(sample(next, f64::from(value)).error_ulp(Element::F32), 1.0, "{value}");
        }
        assert_eq!(sample(1.0 + 1.0 / 1024.0, 1.0).error_ulp(Element::F16), 1.0);
        assert_eq!(sample(1.0 + 1.0 / 128.0, 1.0).error_ulp(Element::Bf16), 1.0);
    }

    #[test]
    fn faults_turn_it_red() {
        for bad in [sample(f32::NAN, 1.0), sample(1.0, f64::NAN), sample(f32::INFINITY, 1.0), sample(1.0, 0.0), sample(0.0, 1e-30)] {
            assert!(!bad.within(Element::F32, 4.0), "{bad:?}");
            assert_eq!(worst(&[sample(1.0, 1.0), bad, sample(2.0, 2.0)], Element::F32, 4.0).breaches, 1);
            assert_eq!(worst(&[sample(1.0, 1.0), bad, sample(2.0, 2.0)], Element::F32, 4.0).index, 1);
        }
        // 5 ULP is red at 4 and green at 5.
        let five = sample(f32::from_bits(1.0_f32.to_bits() + 5), 1.0);
        assert!(!five.within(Element::F32, 4.0) && five.within(Element::F32, 5.0));
        // Overflow: infinity is right from the largest number's upper half unit on, and one unit away from the largest.
        assert!(sample(f32::INFINITY, 1e60).within(Element::F32, 0.0));
        assert_eq!(sample(f32::INFINITY, f64::from(f32::MAX)).error_ulp(Element::F32), 1.0);
        // Flushing is forgiven below the normal numbers only.
        assert!(sample(0.0, 1e-40).within(Element::F32, 0.0) && !sample(0.0, 1.2e-38).within(Element::F32, 4.0));
    }

    #[test]
    fn the_sweep_visits_every_exponent_with_both_signs() {
        let inputs = sweep();
        for exponent in 0..255_u32 {
            for sign in [0, 1_u32] {
                let hits = inputs.iter().filter(|x| x.to_bits() >> 23 == exponent | sign << 8).count();
                assert!(hits > 16, "{exponent} {sign}: {hits}");
            }
        }
    }
}
