//! Gradients of feed-forward layers in f64, by the chain rule (Goodfellow, Bengio and Courville 2016, Deep Learning,
//! section 6.5), with what bounds the errors of f32.

use super::feed_forward::{Bounded, DenseWeights, GatedWeights, activated, exact, linear, strayed, strayed2, through_gate};
use super::{derivative, derivative_terms, gate_gradient, gate_gradient_terms};
use crate::activation::Activation;
use crate::gate::Gate;

/// Gradients of a dense layer, each shaped like what it belongs to. An f32 result is fair within
/// `c * (tokens + d_model + d_ff) * 2^-24 * terms`, as of [`Bounded`].
#[derive(Debug, Clone, PartialEq)]
pub struct DenseGradients {
    /// `[tokens, d_model]`.
    pub x: Vec<Bounded>,
    /// `[d_ff, d_model]`.
    pub w1: Vec<Bounded>,
    /// `[d_ff]`.
    pub b1: Vec<Bounded>,
    /// `[d_model, d_ff]`.
    pub w2: Vec<Bounded>,
    /// `[d_model]`.
    pub b2: Vec<Bounded>,
}

/// Gradients of a gated layer, bounded likewise.
#[derive(Debug, Clone, PartialEq)]
pub struct GatedGradients {
    /// `[tokens, d_model]`.
    pub x: Vec<Bounded>,
    /// `[d_ff, d_model]`.
    pub w_gate: Vec<Bounded>,
    /// `[d_ff]`.
    pub b_gate: Vec<Bounded>,
    /// `[d_ff, d_model]`.
    pub w_up: Vec<Bounded>,
    /// `[d_ff]`.
    pub b_up: Vec<Bounded>,
    /// `[d_model, d_ff]`.
    pub w_down: Vec<Bounded>,
    /// `[d_model]`.
    pub b_down: Vec<Bounded>,
}

/// Gradients of `sum(dy * dense(x))`.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn dense_backward(x: &[f32], dy: &[f32], tokens: usize, weights: &DenseWeights<'_>, activation: &Activation) -> DenseGradients {
    let DenseWeights { d_model, d_ff, w1, b1, w2, .. } = *weights;
    let (x, dy) = (exact(x), exact(dy));
    let z = linear(&x, tokens, d_model, w1, b1, d_ff);
    let hidden: Vec<_> = z.iter().map(|z| activated(activation, *z, d_model)).collect();
    let dhidden = through(&dy, tokens, d_model, w2, d_ff);
    let slope = |z: Bounded| Bounded {
        value: derivative(activation, z.value),
        terms: derivative_terms(activation, z.value) + strayed(z, d_model, |z| derivative(activation, z)),
    };
    let dz: Vec<_> = dhidden.iter().zip(&z).map(|(dh, z)| product(*dh, slope(*z))).collect();
    DenseGradients {
        x: through(&dz, tokens, d_ff, w1, d_model),
        w1: outer(&dz, d_ff, &x, d_model, tokens),
        b1: sums(&dz, d_ff),
        w2: outer(&dy, d_model, &hidden, d_ff, tokens),
        b2: sums(&dy, d_model),
    }
}

/// Gradients of `sum(dy * gated(x))`.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn gated_backward(x: &[f32], dy: &[f32], tokens: usize, weights: &GatedWeights<'_>, gate: &Gate) -> GatedGradients {
    through_gated(&exact(x), &exact(dy), tokens, weights, gate)
}

/// The same of numbers that have errors of their own.
pub(super) fn through_gated(x: &[Bounded], dy: &[Bounded], tokens: usize, weights: &GatedWeights<'_>, gate: &Gate) -> GatedGradients {
    let GatedWeights { d_model, d_ff, w_gate, b_gate, w_up, b_up, w_down, .. } = *weights;
    let g = linear(x, tokens, d_model, w_gate, b_gate, d_ff);
    let u = linear(x, tokens, d_model, w_up, b_up, d_ff);
    let hidden: Vec<_> = g.iter().zip(&u).map(|(g, u)| through_gate(gate, *g, *u, d_model)).collect();
    let dhidden = through(dy, tokens, d_model, w_down, d_ff);
    let slopes = |g: Bounded, u: Bounded| {
        let (value, terms) = (gate_gradient(gate, g.value, u.value), gate_gradient_terms(gate, g.value, u.value));
        let by_gate = terms.0 + strayed2(g, u, d_model, |g, u| gate_gradient(gate, g, u).0);
        let by_up = terms.1 + strayed2(g, u, d_model, |g, u| gate_gradient(gate, g, u).1);
        (Bounded { value: value.0, terms: by_gate }, Bounded { value: value.1, terms: by_up })
    };
    let (dg, du): (Vec<_>, Vec<_>) = dhidden
        .iter()
        .zip(g.iter().zip(&u))
        .map(|(dh, (g, u))| {
            let (by_gate, by_up) = slopes(*g, *u);
            (product(*dh, by_gate), product(*dh, by_up))
        })
        .unzip();
    let both = through(&dg, tokens, d_ff, w_gate, d_model).into_iter().zip(through(&du, tokens, d_ff, w_up, d_model));
    GatedGradients {
        x: both.map(|(a, b)| Bounded { value: a.value + b.value, terms: a.terms + b.terms }).collect(),
        w_gate: outer(&dg, d_ff, x, d_model, tokens),
        b_gate: sums(&dg, d_ff),
        w_up: outer(&du, d_ff, x, d_model, tokens),
        b_up: sums(&du, d_ff),
        w_down: outer(dy, d_model, &hidden, d_ff, tokens),
        b_down: sums(dy, d_model),
    }
}

/// A product of two numbers: each one's error is magnified by the other. One that is exact has none of its own.
pub(super) fn product(a: Bounded, b: Bounded) -> Bounded {
    let share = if b.terms > b.value.abs() { a.value.abs() * b.terms } else { 0.0 };
    Bounded { value: a.value * b.value, terms: a.terms * b.value.abs() + share }
}

pub(super) fn sum(of: impl Iterator<Item = Bounded>) -> Bounded {
    let zero = Bounded { value: 0.0, terms: 0.0 };
    of.fold(zero, |sum, next| Bounded { value: sum.value + next.value, terms: sum.terms + next.terms })
}

/// dy W: from the gradient of y = x W^T, `[rows, outer]`, back to that of x, `[rows, inner]`.
pub(super) fn through(dy: &[Bounded], rows: usize, outer: usize, weight: &[f32], inner: usize) -> Vec<Bounded> {
    assert_eq!((dy.len(), weight.len()), (rows * outer, outer * inner), "lengths of a gradient and of a weight");
    let weight = exact(weight);
    let cells = (0..rows).flat_map(|row| (0..inner).map(move |column| (row, column)));
    cells.map(|(row, column)| sum((0..outer).map(|k| product(dy[row * outer + k], weight[k * inner + column])))).collect()
}

/// a^T b: the gradient of a weight, from the gradients `[rows, m]` of its product's results and its inputs `[rows, n]`.
pub(super) fn outer(a: &[Bounded], m: usize, b: &[Bounded], n: usize, rows: usize) -> Vec<Bounded> {
    let cells = (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
    cells.map(|(i, j)| sum((0..rows).map(|row| product(a[row * m + i], b[row * n + j])))).collect()
}

/// The gradient of a bias: the columns' sums.
pub(super) fn sums(a: &[Bounded], columns: usize) -> Vec<Bounded> {
    (0..columns).map(|column| sum(a.iter().skip(column).step_by(columns).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{dense, gated};
    use super::*;

    const TOKENS: usize = 3;
    const D_MODEL: usize = 4;
    const D_FF: usize = 5;
    /// Exact in f32, and large enough for its square to vanish beside f64's rounding.
    const STEP: f32 = 1.0 / 4096.0;

    /// Multiples of 1/64, so that a step away from them is exact too.
    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::accuracy::Random::new(seed);
        (0..len).map(|_| random.uniform(-64.0, 64.0).round() / 64.0).collect()
    }

    /// Compares gradients with central differences of `loss` in each of its tensors.
    fn check(name: &str, tensors: &[Vec<f32>], gradients: &[&[Bounded]], loss: &dyn Fn(&[Vec<f32>]) -> f64) {
        for (t, gradient) in gradients.iter().enumerate() {
            assert_eq!(gradient.len(), tensors[t].len());
            for (i, exact) in gradient.iter().enumerate() {
                let at = |step: f32| {
                    let mut moved = tensors.to_vec();
                    moved[t][i] += step;
                    loss(&moved)
                };
                let difference = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
                assert!((difference - exact.value).abs() < 1e-6 * (1.0 + exact.terms), "{name} {t} {i}: {difference} for {exact:?}");
                assert!(exact.terms >= exact.value.abs());
            }
        }
    }

    fn dense_layer(t: &[Vec<f32>]) -> DenseWeights<'_> {
        DenseWeights { d_model: D_MODEL, d_ff: D_FF, w1: &t[1], b1: Some(&t[2]), w2: &t[3], b2: Some(&t[4]) }
    }

    fn gated_layer(t: &[Vec<f32>]) -> GatedWeights<'_> {
        let (w_gate, b_gate, w_up, b_up) = (&t[1], Some(t[2].as_slice()), &t[5], Some(t[6].as_slice()));
        GatedWeights { d_model: D_MODEL, d_ff: D_FF, w_gate, b_gate, w_up, b_up, w_down: &t[3], b_down: Some(&t[4]) }
    }

    #[test]
    fn gradients_are_differences() {
        let dy = numbers(TOKENS * D_MODEL, 1);
        let loss = |y: Vec<Bounded>| -> f64 { y.iter().zip(&dy).map(|(y, dy)| y.value * f64::from(*dy)).sum() };
        let lengths = [TOKENS * D_MODEL, D_FF * D_MODEL, D_FF, D_MODEL * D_FF, D_MODEL, D_FF * D_MODEL, D_FF];
        let tensors: Vec<_> = lengths.into_iter().zip(2..).map(|(len, seed)| numbers(len, seed)).collect();
        let x = &tensors[0];
        for name in ["gelu", "silu", "tanh", "mish"] {
            let activation = Activation::parse(name).unwrap();
            let g = dense_backward(x, &dy, TOKENS, &dense_layer(&tensors), &activation);
            let gradients = [&g.x, &g.w1, &g.b1, &g.w2, &g.b2].map(Vec::as_slice);
            check(name, &tensors, &gradients, &|t| loss(dense(&t[0], TOKENS, &dense_layer(t), &activation)));
        }
        for name in ["swiglu", "geglu", "glu", "bilinear"] {
            let gate = Gate::parse(name).unwrap();
            let g = gated_backward(x, &dy, TOKENS, &gated_layer(&tensors), &gate);
            let gradients = [&g.x, &g.w_gate, &g.b_gate, &g.w_down, &g.b_down, &g.w_up, &g.b_up].map(Vec::as_slice);
            check(name, &tensors, &gradients, &|t| loss(gated(&t[0], TOKENS, &gated_layer(t), &gate)));
        }
    }
}
