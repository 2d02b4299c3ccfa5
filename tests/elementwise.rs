//! Activations on a device against the oracle: values, derivatives, kinds, sizes.

mod support;

use ffwd::{Activation, Element};
use support::conformance::native::{every, hold, sizes};
use support::{inputs, same_bits};

#[test]
fn every_activation_holds_its_contract() {
    hold(&every());
}

#[test]
fn every_size_is_done_whole() {
    hold(&sizes());
}

fn forward(activation: &Activation, x: &[f32]) -> Vec<f32> {
    ffwd::activate(support::gpu(), activation.clone(), x).unwrap()
}

#[test]
fn odd_functions_are_odd_bit_for_bit() {
    let x: Vec<f32> = inputs(Element::F32, 5000, 3).into_iter().filter(|x| !x.is_nan()).collect();
    let mirrored: Vec<f32> = x.iter().map(|x| -x).collect();
    for activation in [Activation::Tanh, Activation::SoftSign, Activation::TanhShrink] {
        let negated: Vec<f32> = forward(&activation, &mirrored).iter().map(|y| -y).collect();
        same_bits(&forward(&activation, &x), &negated).unwrap_or_else(|fault| panic!("{activation}: {fault}"));
    }
}

#[test]
fn relu_is_exact() {
    let x: Vec<f32> = inputs(Element::F32, 5000, 4).into_iter().filter(|x| !x.is_nan()).collect();
    let want: Vec<f32> = x.iter().map(|&x| if x < 0.0 { 0.0 } else { x }).collect();
    same_bits(&forward(&Activation::Relu, &x), &want).unwrap();
}

#[test]
fn softplus_of_x_less_that_of_minus_x_is_x() {
    let activation = Activation::parse("softplus").unwrap();
    let x: Vec<f32> = inputs(Element::F32, 5000, 5).into_iter().filter(|x| x.abs() < 1e30).collect();
    let mirrored: Vec<f32> = x.iter().map(|x| -x).collect();
    let (right, left) = (forward(&activation, &x), forward(&activation, &mirrored));
    for ((x, right), left) in x.iter().zip(right).zip(left) {
        // Both values within 4 units of themselves: 2^-22 of their sum.
        let (difference, sum) = (f64::from(right) - f64::from(left), f64::from(right) + f64::from(left));
        assert!((difference - f64::from(*x)).abs() <= f64::exp2(-21.0) * sum, "{x:e}: {right:e} {left:e}");
    }
}

/// What rises never falls, not even by a unit where the polynomials meet; saturated values may repeat. Below 0, sigmoid is
/// e / (1 + e), whose divisor is rounded more coarsely than e: of neighbours in [-1, -0.5] one in fifty falls by a unit, on any driver.
#[test]
fn monotone_functions_are_monotone() {
    let mut x: Vec<f32> = inputs(Element::F32, 20_000, 6).into_iter().filter(|x| !x.is_nan()).collect();
    x.sort_by(f32::total_cmp);
    for activation in [Activation::Relu, Activation::HardSigmoid, Activation::Sigmoid, Activation::Tanh] {
        let y = forward(&activation, &x);
        let most = |y: f32| if activation == Activation::Sigmoid { y.next_up() } else { y };
        let rises = |i: &usize| y[i - 1] <= most(y[*i]);
        let falls = (1..y.len()).filter(|i| !rises(i));
        let falls: Vec<_> = falls.map(|i| (x[i - 1], x[i], y[i - 1], y[i])).collect();
        assert!(falls.is_empty(), "{activation}: {} falls, {:?}", falls.len(), &falls[..falls.len().min(5)]);
    }
}
