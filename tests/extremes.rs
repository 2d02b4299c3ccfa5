//! Where the limit is finite though the formula's parts are not.

mod support;

use ffwd::nn::{FeedForward, Layer};
use ffwd::ops::{Activate, Backward, Forward, Linear, LinearArgs, Weights};
use ffwd::{Activation, Element, Gate, Tensor, activate, activate_backward, oracle, slices};
use support::devices;

fn parsed(name: &str, parameters: &[(&str, f64)]) -> Activation {
    parameters.iter().fold(Activation::parse(name).unwrap(), |a, (parameter, value)| a.with(parameter, *value).unwrap())
}

fn tensor(data: &[f32], shape: &[usize]) -> Tensor {
    devices()[0].gpu.tensor(data, shape, Element::F32).unwrap()
}

/// Huge inputs where coefficients vanish, infinities where slopes do.
#[test]
fn values_have_their_limits() {
    let gpu = &devices()[0].gpu;
    let zeros = ["a0", "a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "b4"].map(|name| (name, 0.0));
    let line = zeros.iter().copied().chain([("a1", 1.0)]).collect::<Vec<_>>();
    let ratio = line.iter().copied().chain([("b1", 2.0)]).collect::<Vec<_>>();
    let cases = [
        (parsed("rational", &line), 1e12, 1e12),
        (parsed("rational", &ratio), 1e20, 0.5),
        (parsed("xielu", &[("beta", 0.8)]), -1e31, -0.8),
        (parsed("xielu", &[("beta", 0.8)]), f32::NEG_INFINITY, -0.8),
        (parsed("xielu", &[("alpha_p", 0.0)]), f32::INFINITY, f32::INFINITY),
        (parsed("swish", &[("beta", 0.0)]), f32::NEG_INFINITY, f32::NEG_INFINITY),
        (parsed("swish", &[("beta", 1e-30)]), 3e38, 3e38 / (1.0 + (-3e8_f32).exp())),
    ];
    for (activation, x, limit) in cases {
        let y = activate(gpu, activation.clone(), &[x]).unwrap()[0];
        assert!(y == limit || (y - limit).abs() <= 4.0 * f32::EPSILON * limit.abs(), "{activation}({x:e}) = {y:e}, not {limit:e}");
    }
}

/// The gradient of a flat part is 0 whatever comes from above; elsewhere an infinity passes.
#[test]
fn flat_parts_stop_infinite_gradients() {
    let gpu = &devices()[0].gpu;
    let flat = [("relu", -1.0), ("relu6", 7.0), ("threshold", -1.0), ("hardtanh", 2.0), ("hardsigmoid", 4.0), ("hardswish", -4.0)];
    for (name, x) in flat.into_iter().chain([("softshrink", 0.1), ("hardshrink", 0.1), ("gelu_10", 20.0), ("fatrelu", 0.001)]) {
        let dx = activate_backward(gpu, parsed(name, &[]), &[x, 1.0], &[f32::INFINITY, f32::INFINITY]).unwrap();
        assert_eq!(dx[0], 0.0, "{name}");
        assert!(dx[1] == f32::INFINITY || matches!(name, "hardtanh"), "{name}: {}", dx[1]);
    }
    assert_eq!(slices::gate(gpu, Gate::parse("reglu").unwrap(), &[2.0], &[1e38]).unwrap(), [2e38]);
    // Gradients that are small because x is large, times a large one from above.
    for (name, x, dy) in [("softsign", 1e25_f32, 1e30_f32), ("tanh", 44.0, 3.0), ("tanh", 43.0, 100.0), ("silu", -95.0, 1000.0)] {
        let activation = parsed(name, &[]);
        let truth = oracle::derivative(&activation, f64::from(x)) * f64::from(dy);
        let dx = f64::from(activate_backward(gpu, activation, &[x], &[dy]).unwrap()[0]);
        assert!((dx - truth).abs() <= 8.0 * f64::from(f32::EPSILON) * truth.abs(), "{name}({x:e}) dy {dy:e}: {dx:e}, not {truth:e}");
    }
}

/// One element far out adds its own term to a parameter's gradient, no NaN.
#[test]
fn parameter_gradients_survive_huge_inputs() {
    let gpu = &devices()[0].gpu;
    let (x, dy) = (tensor(&[1e38, 1.0, -1e38], &[3]), tensor(&[4.0, 2.0, 4.0], &[3]));
    let (beta, dbeta) = (tensor(&[1.0], &[1]), tensor(&[f32::NAN], &[1]));
    let args = Backward { x: &x, dy: &dy, dx: &x, bias: None, parameters: Some(&beta) };
    Activate::new(gpu, parsed("swish", &[])).parameter_gradient(args, &dbeta).unwrap().submit(gpu);
    let truth = 2.0 * oracle::parameter_gradient(&parsed("swish", &[]), 1.0)[0];
    assert!((f64::from(gpu.read_back(&dbeta).unwrap()[0]) - truth).abs() < 1e-6);
    // A bias without values has no gradient, and nothing is written for it.
    let arena = tensor(&[7.0; 4], &[4]);
    let (empty, none) = (tensor(&[], &[4, 0]), arena.view(0, &[0]).unwrap());
    let args = Backward { x: &empty, dy: &empty, dx: &empty, bias: Some(&none), parameters: None };
    Activate::new(gpu, Activation::Relu).bias_gradient(args, &none).unwrap().submit(gpu);
    assert_eq!(gpu.read_back(&arena).unwrap(), [7.0; 4]);
}

/// An infinite weight makes an infinite product, not NaN from the steps past the end; operands may share a buffer.
#[test]
fn products_of_infinities_and_arenas() {
    let gpu = &devices()[0].gpu;
    for looping in support::layer::loops(gpu) {
        let arena = tensor(&[1.0; 64], &[64]);
        let (a, out) = (arena.view(0, &[2, 4]).unwrap(), arena.view(32, &[2, 2]).unwrap());
        let weight = tensor(&[1.0, 2.0, 3.0, f32::INFINITY, 1.0, 2.0, 3.0, 4.0], &[2, 4]);
        let linear = Linear::new(gpu, Activation::Identity).with_loop(looping).unwrap();
        let weights = Weights::plain(&weight);
        linear.plan(LinearArgs::new(&a, weights, &out)).unwrap().submit(gpu);
        assert_eq!(gpu.read_back(&out).unwrap(), [f32::INFINITY, 10.0, f32::INFINITY, 10.0], "{looping}");
        let scalar = arena.view(0, &[]).unwrap();
        assert!(linear.plan(LinearArgs::new(&scalar, weights, &scalar)).is_err());
    }
    // x, hidden and y in one buffer.
    let arena = tensor(&[0.5; 64], &[64]);
    let [x, hidden, y] = [0, 16, 32].map(|start| arena.view(start, &[2, 4]).unwrap());
    let w = tensor(&[0.25; 16], &[4, 4]);
    let layer = Layer::Dense { activation: Activation::Relu, w1: w.clone().into(), b1: None, w2: w.into(), b2: None };
    let args = ffwd::nn::FeedForwardArgs { x: &x, hidden: &hidden, y: &y };
    FeedForward::new(gpu, layer).plan(args).unwrap().submit(gpu);
    assert_eq!(gpu.read_back(&y).unwrap(), [0.5; 8]);
}

/// The bias is read by every element, so the output cannot take its place.
#[test]
fn a_bias_is_never_overwritten() {
    let gpu = &devices()[0].gpu;
    let (x, bias) = (tensor(&[1.0; 4], &[1, 4]), tensor(&[2.0; 4], &[4]));
    let y = bias.reshape(&[1, 4]).unwrap();
    let error = Activate::new(gpu, Activation::Relu).forward(Forward { x: &x, y: &y, bias: Some(&bias), parameters: None }).unwrap_err();
    assert!(matches!(error, ffwd::Error::Alias { .. }), "{error}");
}

/// Ties go to the even neighbour, overflow to infinity, subnormals are kept: bit for bit what the CPU's conversion says.
#[test]
fn stores_round_to_nearest_even() {
    let gpu = &devices()[0].gpu;
    let mut x: Vec<f32> = ffwd::accuracy::sweep().into_iter().filter(|x| *x != 0.0 && !x.is_subnormal()).collect();
    // Halfway between neighbours of either kind, and one f32 to each side.
    for bits in (0x3300_0000_u32..0x4780_0000).step_by(0x0123_1000) {
        for tie in [bits & 0xffff_e000 | 0x1000, bits & 0xffff_0000 | 0x8000] {
            x.extend([tie - 1, tie, tie + 1, tie | 1 << 31].map(f32::from_bits));
        }
    }
    let a = gpu.tensor(&x, &[x.len(), 1], Element::F32).unwrap();
    let one = gpu.tensor(&[1.0], &[1, 1], Element::F32).unwrap();
    for element in [Element::F16, Element::Bf16] {
        let out = gpu.zeros(&[x.len(), 1], element).unwrap();
        let weights = Weights::plain(&one);
        let product = Linear::new(gpu, Activation::Identity);
        product.plan(LinearArgs::new(&a, weights, &out)).unwrap().submit(gpu);
        let (actual, expected) = (gpu.read_back(&out).unwrap(), element.decode(&element.encode(&x)));
        let wrong = (0..x.len()).find(|&i| actual[i] != expected[i] && !(actual[i].is_nan() && expected[i].is_nan()));
        assert_eq!(wrong.map(|i| (x[i], actual[i], expected[i])), None, "{element}");
    }
}
