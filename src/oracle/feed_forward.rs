//! Feed-forward layers in f64 from the f32 numbers a GPU is given, with what is needed to bound its errors.
//!
//! Matrices are row-major; a weight is `[out, in]` and a layer y = x W^T + b.

use super::{gate_terms, gate_value, terms, value};
use crate::activation::Activation;
use crate::gate::Gate;

/// A sum and the measure of its conditioning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounded {
    /// The exact value.
    pub value: f64,
    /// An f32 result is fair within `c * (d_model + d_ff) * 2^-24 * terms`, c near 1 (more where the activation's own
    /// error is several units): for one sum the absolute values of its addends, for two layers the same with the
    /// first layer's share magnified by the activation between them.
    pub terms: f64,
}

/// The weights of y = act(x W1^T + b1) W2^T + b2 (Vaswani et al. 2017, arXiv:1706.03762, section 3.3).
#[derive(Debug, Clone, Copy)]
pub struct DenseWeights<'a> {
    /// Length of a row of x and of y.
    pub d_model: usize,
    /// Length of a hidden row.
    pub d_ff: usize,
    /// `[d_ff, d_model]`.
    pub w1: &'a [f32],
    /// `[d_ff]`.
    pub b1: Option<&'a [f32]>,
    /// `[d_model, d_ff]`.
    pub w2: &'a [f32],
    /// `[d_model]`.
    pub b2: Option<&'a [f32]>,
}

/// The weights of y = gate(x W_gate^T + b_gate, x W_up^T + b_up) W_down^T + b_down (Shazeer 2020, arXiv:2002.05202).
#[derive(Debug, Clone, Copy)]
pub struct GatedWeights<'a> {
    /// Length of a row of x and of y.
    pub d_model: usize,
    /// Length of a hidden row.
    pub d_ff: usize,
    /// `[d_ff, d_model]`.
    pub w_gate: &'a [f32],
    /// `[d_ff]`.
    pub b_gate: Option<&'a [f32]>,
    /// `[d_ff, d_model]`.
    pub w_up: &'a [f32],
    /// `[d_ff]`.
    pub b_up: Option<&'a [f32]>,
    /// `[d_model, d_ff]`.
    pub w_down: &'a [f32],
    /// `[d_model]`.
    pub b_down: Option<&'a [f32]>,
}

/// A feed-forward network of `tokens` finite rows; the result is `[tokens, d_model]`.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn dense(x: &[f32], tokens: usize, weights: &DenseWeights<'_>, activation: &Activation) -> Vec<Bounded> {
    let DenseWeights { d_model, d_ff, w1, b1, w2, b2 } = *weights;
    let z = linear(&exact(x), tokens, d_model, w1, b1, d_ff);
    let hidden: Vec<_> = z.iter().map(|z| activated(activation, *z, d_model)).collect();
    linear(&hidden, tokens, d_ff, w2, b2, d_model)
}

/// activation(z) of a sum of `length` products.
pub(super) fn activated(activation: &Activation, z: Bounded, length: usize) -> Bounded {
    Bounded { value: value(activation, z.value), terms: terms(activation, z.value) + strayed(z, length, |z| value(activation, z)) }
}

/// How far f strays where its argument, a sum of `length` products, does, in units of terms.
pub(super) fn strayed(z: Bounded, length: usize, f: impl Fn(f64) -> f64) -> f64 {
    let (exact, reach) = (f(z.value), rounding(length) * z.terms);
    [-reach, reach].into_iter().map(|dz| (f(z.value + dz) - exact).abs()).fold(0.0, f64::max) / rounding(length)
}

/// The same of two arguments.
pub(super) fn strayed2(g: Bounded, u: Bounded, length: usize, f: impl Fn(f64, f64) -> f64) -> f64 {
    let (exact, dg, du) = (f(g.value, u.value), rounding(length) * g.terms, rounding(length) * u.terms);
    let corners = [(dg, du), (dg, -du), (-dg, du), (-dg, -du)];
    corners.into_iter().map(|(dg, du)| (f(g.value + dg, u.value + du) - exact).abs()).fold(0.0, f64::max) / rounding(length)
}

/// gate(g, u) of two sums of `length` products.
pub(super) fn through_gate(gate: &Gate, g: Bounded, u: Bounded, length: usize) -> Bounded {
    let terms = gate_terms(gate, g.value, u.value) + strayed2(g, u, length, |g, u| gate_value(gate, g, u));
    Bounded { value: gate_value(gate, g.value, u.value), terms }
}

/// A gated feed-forward network of `tokens` finite rows; the result is `[tokens, d_model]`.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn gated(x: &[f32], tokens: usize, weights: &GatedWeights<'_>, gate: &Gate) -> Vec<Bounded> {
    through_layers(&exact(x), tokens, weights, gate)
}

/// The same of numbers that have errors of their own.
pub(super) fn through_layers(x: &[Bounded], tokens: usize, weights: &GatedWeights<'_>, gate: &Gate) -> Vec<Bounded> {
    let GatedWeights { d_model, d_ff, w_gate, b_gate, w_up, b_up, w_down, b_down } = *weights;
    let up = linear(x, tokens, d_model, w_up, b_up, d_ff);
    let g = linear(x, tokens, d_model, w_gate, b_gate, d_ff);
    let hidden: Vec<_> = g.into_iter().zip(up).map(|(g, u)| through_gate(gate, g, u, d_model)).collect();
    linear(&hidden, tokens, d_ff, w_down, b_down, d_model)
}

/// How far a sum of `length` products in f32 strays at most, in units of its terms (Higham 2002, section 3.1). How far
/// the activation strays over that reach is, where it is smooth, the product rule's |act'(z)| terms(z); unlike that it
/// also sees a kink or a jump on the way.
pub(super) fn rounding(length: usize) -> f64 {
    (length + 1) as f64 * f64::exp2(-24.0)
}

/// Inputs as they are: their error is 0, their share of a sum themselves.
pub(super) fn exact(x: &[f32]) -> Vec<Bounded> {
    x.iter().map(|x| Bounded { value: f64::from(*x), terms: f64::from(x.abs()) }).collect()
}

/// x W^T + b for `rows` rows of x, each of length `inner`.
pub(super) fn linear(x: &[Bounded], rows: usize, inner: usize, weight: &[f32], bias: Option<&[f32]>, outer: usize) -> Vec<Bounded> {
    assert_eq!((x.len(), weight.len()), (rows * inner, outer * inner), "lengths of x and of a weight");
    assert!(bias.is_none_or(|bias| bias.len() == outer), "length of a bias");
    let mut y = Vec::with_capacity(rows * outer);
    for row in 0..rows {
        for column in 0..outer {
            let bias = bias.map_or(0.0, |bias| f64::from(bias[column]));
            let mut sum = Bounded { value: bias, terms: bias.abs() };
            for k in 0..inner {
                let (x, w) = (x[row * inner + k], f64::from(weight[column * inner + k]));
                sum.value += x.value * w;
                sum.terms += x.terms * w.abs();
            }
            y.push(sum);
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 4] = [1.0, -2.0, 0.5, 3.0];
    const W1: [f32; 6] = [1.0, 1.0, -2.0, 0.5, 3.0, 4.0];
    const W2: [f32; 6] = [1.0, 2.0, 3.0, -1.0, 0.25, 2.0];

    #[test]
    fn dense_by_hand() {
        let weights = DenseWeights { d_model: 2, d_ff: 3, w1: &W1, b1: Some(&[0.5, 4.0, 1.0]), w2: &W2, b2: Some(&[10.0, 0.0]) };
        let y = dense(&X, 2, &weights, &Activation::Relu);
        // Hidden rows before the activation: -0.5 1 -4 and 4 4.5 14.5.
        assert_eq!(y.iter().map(|y| y.value).collect::<Vec<_>>(), [12.0, 0.25, 66.5, 26.125]);
        // Terms of the first: 10 + 2 (1 + (2 + 1 + 4)), the slope being 1 where the hidden value is 1 and 0 elsewhere.
        assert!((y[0].terms - 26.0).abs() < 1e-6, "{}", y[0].terms);
    }

    #[test]
    fn gated_by_hand() {
        let weights = GatedWeights { d_model: 2, d_ff: 3, w_gate: &W1, b_gate: None, w_up: &W2, b_up: None, w_down: &W1, b_down: None };
        let y = gated(&X[..2], 1, &weights, &Gate::parse("bilinear").unwrap());
        // gate -1 -3 -5, up -3 5 -3.75, their product 3 -15 18.75.
        assert_eq!(y.iter().map(|y| y.value).collect::<Vec<_>>(), [-49.5, 31.5]);
    }

    #[test]
    fn f32_stays_within_the_terms() {
        let mut state = 1_u64;
        let mut random = |count: usize| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / 8_388_608.0 - 1.0
            };
            (0..count).map(|_| next()).collect()
        };
        let (d_model, d_ff, tokens) = (37, 53, 5);
        let (x, w1, w2) = (random(tokens * d_model), random(d_ff * d_model), random(d_model * d_ff));
        let weights = DenseWeights { d_model, d_ff, w1: &w1, b1: None, w2: &w2, b2: None };
        for activation in [Activation::Identity, Activation::Relu, Activation::HardShrink { lambd: 0.5 }, Activation::Silu] {
            let exact = dense(&x, tokens, &weights, &activation);
            for (i, want) in exact.iter().enumerate() {
                let (row, column) = (i / d_model, i % d_model);
                let y = (0..d_ff).fold(0.0_f32, |sum, i| {
                    let z = (0..d_model).fold(0.0_f32, |z, k| z + x[row * d_model + k] * w1[i * d_model + k]);
                    sum + value(&activation, f64::from(z)) as f32 * w2[column * d_ff + i]
                });
                let bound = (d_model + d_ff) as f64 * f64::exp2(-24.0) * want.terms;
                assert!((f64::from(y) - want.value).abs() <= bound, "{activation} {i}: {y} {want:?}");
            }
        }
    }
}
