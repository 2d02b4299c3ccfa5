//! Judging results against the truth, naming the worst point.

use std::fmt::Debug;

use ffwd::Element;
use ffwd::accuracy::{self, Sample};

/// Refuses what is further than `allowed` units from the truth; `input` tells what the worst sample came from.
pub fn judge<I: Debug>(element: Element, allowed: f64, samples: &[Sample], input: impl Fn(usize) -> I) -> Result<(), String> {
    let worst = accuracy::worst(samples, element, allowed);
    if worst.breaches == 0 {
        return Ok(());
    }
    let Sample { actual, truth, forgiven } = samples[worst.index];
    let error = samples[worst.index].error_ulp(element);
    Err(format!(
        "{} of {} breach {allowed} ULP of {element} (or {forgiven:e}): at #{} {:?} is {actual:e} ({:#010x}), truth {truth:e}, {error} ULP",
        worst.breaches,
        samples.len(),
        worst.index,
        input(worst.index),
        actual.to_bits(),
    ))
}

/// Refuses any difference in bits.
pub fn same_bits(actual: &[f32], expected: &[f32]) -> Result<(), String> {
    if actual.len() != expected.len() {
        return Err(format!("{} numbers, not {}", actual.len(), expected.len()));
    }
    match actual.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits()) {
        None => Ok(()),
        Some(i) => Err(format!("#{i} is {:e} ({:#010x}), not {:e}", actual[i], actual[i].to_bits(), expected[i])),
    }
}

/// How far an f32 sum of `count` terms may stray that are themselves within `ulp` units: Higham 2002, section 3.1.
pub fn sum_bound(count: usize, ulp: f64, terms: f64) -> f64 {
    (count as f64 + 2.0 * ulp) * f64::exp2(-24.0) * terms
}

/// What rounding to `element` may add to the error of a result near `truth`.
pub fn half_unit(element: Element, truth: f64) -> f64 {
    accuracy::ulp(element, truth) / 2.0
}
