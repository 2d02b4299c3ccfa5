//! Numbers to feed kernels with; never zeros alone.

use ffwd::Element;
use ffwd::accuracy::{self, Random};
use ffwd::train::{Regression, Task};

/// `len` of the bit patterns on which the contract holds: every exponent, both signs, the specials first.
pub fn inputs(element: Element, len: usize, seed: u64) -> Vec<f32> {
    let all = accuracy::inputs(element);
    let mut random = Random::new(seed);
    let specials = rounded(element, &accuracy::SPECIALS);
    // Short inputs start elsewhere in the specials with each seed.
    let skip = if len < specials.len() { seed as usize % specials.len() } else { 0 };
    let drawn = std::iter::repeat_with(|| all[random.bits() as usize % all.len()]);
    // NaN without a payload, since the guards have one.
    let plain = |x: f32| if x.is_nan() { f32::NAN.copysign(x) } else { x };
    specials[skip..].iter().copied().chain(drawn).map(plain).take(len).collect()
}

/// `len` moderate numbers of either sign, none near 0, exact in `element`.
pub fn numbers(element: Element, len: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    rounded(element, &(0..len).map(|_| random.factor()).collect::<Vec<_>>())
}

/// The same as stored in `element`.
pub fn rounded(element: Element, values: &[f32]) -> Vec<f32> {
    element.decode(&element.encode(values))
}

/// A regression that is validated on what it is trained on.
pub fn regression(x: Vec<f32>, target: Vec<f32>) -> Task {
    Task::Regression(Regression { validation: (x.clone(), target.clone()), x, target })
}
