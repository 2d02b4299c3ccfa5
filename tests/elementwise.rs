//! Activations on a device against the oracle: values, derivatives, kinds, sizes.

mod support;

use ffwd::ops::{Activate, Backward, Forward};
use ffwd::{Activation, Element, Gpu};
use support::{Guarded, devices, inputs, judge, numbers, same_bits, subject};

/// Inputs on which the activation is judged, and gradients from above with NaN among them.
fn operands(activation: &Activation, element: Element, len: usize) -> (Vec<f32>, Vec<f32>) {
    let fits = |x: f32| if subject::domain(activation, x) { x } else { 1.5 };
    let x = inputs(element, len, len as u64).into_iter().map(fits).collect();
    let mut dy = numbers(element, len, 7);
    dy.iter_mut().skip(2).step_by(41).for_each(|dy| *dy = f32::NAN);
    (x, dy)
}

fn check_forward(gpu: &Gpu, activation: &Activation, element: Element, len: usize) -> Result<(), String> {
    let (x, _) = operands(activation, element, len);
    let (input, y) = (gpu.tensor(&x, &[len], element).unwrap(), Guarded::output(gpu, &[len], element, 0));
    let plan = Activate::new(gpu, activation.clone()).forward(Forward { x: &input, y: &y.tensor, bias: None, parameters: None });
    plan.unwrap().submit(gpu);
    let actual = y.check(gpu)?;
    let samples: Vec<_> = x.iter().zip(&actual).map(|(x, y)| subject::judged_value(activation, element, *x, *y)).collect();
    if let Some(i) = (0..len).find(|&i| wrong_sign(activation, x[i], samples[i].truth, actual[i])) {
        return Err(format!("at {:?} it is {:?}, not {:?}", x[i], actual[i], samples[i].truth));
    }
    judge(element, subject::allowed(activation, element, false), &samples, |i| x[i])
}

/// Zeros differ in their sign alone, which no bound on errors sees. It is promised at 0, and at -inf where the limit is -0;
/// PyTorch's own devices disagree on softshrink.
fn wrong_sign(activation: &Activation, x: f32, truth: f64, actual: f32) -> bool {
    let limit = x == f32::NEG_INFINITY && activation.spec().is_some_and(|spec| spec.differs.contains("-0 at -inf"));
    let promised = x == 0.0 && !matches!(activation, Activation::SoftShrink { .. });
    (promised || limit) && truth == 0.0 && truth.is_sign_negative() != actual.is_sign_negative()
}

fn check_backward(gpu: &Gpu, activation: &Activation, element: Element, len: usize) -> Result<(), String> {
    let (x, dy) = operands(activation, element, len);
    let tensor = |data| gpu.tensor(data, &[len], element).unwrap();
    let (input, above, dx) = (tensor(&x), tensor(&dy), Guarded::output(gpu, &[len], element, 0));
    let args = Backward { x: &input, dy: &above, dx: &dx.tensor, bias: None, parameters: None };
    Activate::new(gpu, activation.clone()).backward(args).unwrap().submit(gpu);
    let actual = dx.check(gpu)?;
    let samples: Vec<_> = (0..len).map(|i| subject::judged_derivative(activation, element, x[i], dy[i], actual[i])).collect();
    judge(element, subject::allowed(activation, element, true), &samples, |i| (x[i], dy[i]))
}

fn check(activations: &[Activation], sizes: &[usize]) {
    let mut faults = Vec::new();
    for device in devices() {
        for activation in activations {
            for element in Element::ALL {
                for len in sizes {
                    let checks = [("forward", check_forward as fn(_, _, _, _) -> _), ("backward", check_backward)];
                    for (direction, check) in checks {
                        if let Err(fault) = check(&device.gpu, activation, element, *len) {
                            faults.push(format!("{activation} {direction} {element} x {len} on {}: {fault}", device.name));
                        }
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The sizes take single elements, vectors, and both.
#[test]
fn every_activation_holds_its_contract() {
    check(&subject::activations(), &[3, 4, 4097]);
}

#[test]
fn every_size_is_done_whole() {
    let names = ["relu", "gelu", "tanh", "xielu"].map(|name| Activation::parse(name).unwrap());
    let sizes = [0, 1, 2, 5, 7, 8, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 100_003];
    check(&names, &sizes);
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

/// What rises never falls, not even by a unit where the polynomials meet; saturated values may repeat.
#[test]
fn monotone_functions_are_monotone() {
    let mut x: Vec<f32> = inputs(Element::F32, 20_000, 6).into_iter().filter(|x| !x.is_nan()).collect();
    x.sort_by(f32::total_cmp);
    for activation in [Activation::Relu, Activation::HardSigmoid, Activation::Sigmoid, Activation::Tanh] {
        let y = forward(&activation, &x);
        let rises = |i: &usize| y[i - 1] <= y[*i];
        let falls = (1..y.len()).filter(|i| !rises(i));
        let falls: Vec<_> = falls.map(|i| (x[i - 1], x[i], y[i - 1], y[i])).collect();
        assert!(falls.is_empty(), "{activation}: {} falls, {:?}", falls.len(), &falls[..falls.len().min(5)]);
    }
}
