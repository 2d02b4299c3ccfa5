//! Random operations on random shapes, kinds, views and overlaps, against the oracle. The seed is fixed, so that CI
//! repeats itself.

mod support;

use ffwd::accuracy::Sample;
use ffwd::ops::{Activate, Backward, Forward, Gated, GatedBackward, GatedForward};
use ffwd::{Activation, Element, Layout};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use support::gate::{self, Halves, Held};
use support::layer::{self, Function, Weights};
use support::{Guarded, devices, inputs, judge, numbers, subject};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, ..ProptestConfig::default() }
}

fn element() -> impl Strategy<Value = Element> {
    select(Element::ALL.to_vec())
}

/// A few of each sort, since every function and variant is a kernel to compile.
fn activation() -> impl Strategy<Value = Activation> {
    let names = ["relu", "gelu", "mish", "swish", "softplus", "rational"].map(|name| Activation::parse(name).unwrap());
    select(names.into_iter().chain([subject::custom()]).collect::<Vec<_>>())
}

/// Lengths around the edges of vectors and workgroups as often as any other.
fn len() -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..70, 1020_usize..1030, 4090_usize..4100, 0_usize..9000]
}

/// What dx overwrites.
#[derive(Clone, Copy, Debug)]
enum Over {
    Nothing,
    X,
    Dy,
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn activations(
        activation in activation(), element in element(), len in len(), offsets in [0_usize..10, 0_usize..10, 0_usize..10],
        over in select(vec![Over::Nothing, Over::X, Over::Dy]), seed in 0_u64..1000, device in 0_usize..2,
    ) {
        let gpu = &devices()[device].gpu;
        let fits = |x: f32| if subject::domain(&activation, x) { x } else { 1.5 };
        let values: Vec<f32> = inputs(element, len, seed).into_iter().map(fits).collect();
        let above = numbers(element, len, seed);
        let hold = |values, offset| Guarded::holding(gpu, values, &[len], element, offset);
        let op = Activate::new(gpu, activation.clone());

        let (x, dy) = (hold(&values, offsets[0]), hold(&above, offsets[1]));
        let fresh = Guarded::output(gpu, &[len], element, offsets[2]);
        let dx = match over { Over::Nothing => &fresh, Over::X => &x, Over::Dy => &dy };
        op.backward(Backward { x: &x.tensor, dy: &dy.tensor, dx: &dx.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
        let actual = dx.check(gpu).map_err(TestCaseError::fail)?;
        let judged = |i: usize| subject::judged_derivative(&activation, element, values[i], above[i], actual[i]);
        let samples: Vec<_> = (0..len).map(judged).collect();
        judge(element, subject::allowed(&activation, element, true), &samples, |i| (values[i], above[i])).map_err(TestCaseError::fail)?;

        let x = hold(&values, offsets[0]);
        let fresh = Guarded::output(gpu, &[len], element, offsets[2]);
        let y = if matches!(over, Over::X) { &x } else { &fresh };
        op.forward(Forward { x: &x.tensor, y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
        let actual = y.check(gpu).map_err(TestCaseError::fail)?;
        let samples: Vec<_> = (0..len).map(|i| subject::judged_value(&activation, element, values[i], actual[i])).collect();
        judge(element, subject::allowed(&activation, element, false), &samples, |i| values[i]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn gates(
        function in select(gate::all()), layout in select(Layout::ALL.to_vec()), element in element(), rows in 0_usize..9,
        d in prop_oneof![1_usize..10, 1_usize..300], offsets in [0_usize..10, 0_usize..10, 0_usize..10], in_place: bool,
        seed in 0_u64..1000, device in 0_usize..2,
    ) {
        let gpu = &devices()[device].gpu;
        let (halves, above) = (Halves::numbers(element, rows, d, seed), numbers(element, rows * d, seed + 7));
        let op = Gated::new(gpu, function.clone());
        let held = halves.upload(gpu, layout, offsets[0]);
        let y = Guarded::output(gpu, &[rows, d], element, offsets[1]);
        op.forward(GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
        let fresh = halves.outputs(gpu, layout, offsets[1]);
        let grads: &Held = if in_place { &held } else { &fresh };
        let dy = Guarded::holding(gpu, &above, &[rows, d], element, offsets[2]);
        op.backward(GatedBackward { input: held.input(), dy: &dy.tensor, grads: grads.input(), bias: None, parameters: None }).unwrap().submit(gpu);
        let [dgate, dup] = grads.read(gpu).map_err(TestCaseError::fail)?;
        let results = [y.check(gpu).map_err(TestCaseError::fail)?, dgate, dup];
        for (k, actual) in results.iter().enumerate() {
            let truth = |e: usize| {
                let (by_gate, by_up) = gate::gradient(&function, halves.gate[e], halves.up[e]);
                [gate::value(&function, halves.gate[e], halves.up[e]), by_gate * f64::from(above[e]), by_up * f64::from(above[e])][k]
            };
            let samples: Vec<_> = (0..rows * d).map(|e| Sample { actual: actual[e], truth: truth(e), forgiven: 0.0 }).collect();
            let allowed = gate::allowed(&function, element, k == 1);
            judge(element, allowed, &samples, |e| (["y", "dgate", "dup"][k], halves.gate[e], halves.up[e])).map_err(TestCaseError::fail)?;
        }
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn layers(
        function in select(vec![Function::dense("gelu"), Function::gated("swiglu")]), kinds in [element(), element()],
        tokens in 0_usize..40, sizes in [1_usize..70, 1_usize..70], bias: bool, looping: prop::sample::Index,
        offsets in [0_usize..8, 0_usize..8], device in 0_usize..2,
    ) {
        let (gpu, [d_model, d_ff]) = (&devices()[device].gpu, sizes);
        let looping = *looping.get(&layer::loops(gpu));
        let weights = Weights::random(function, kinds[1], d_model, d_ff, bias);
        let x = layer::tokens(kinds[0], tokens, d_model);
        let y = layer::run(gpu, weights.upload(gpu, offsets[0]), &x, kinds[0], looping, offsets[1]).map_err(TestCaseError::fail)?;
        weights.judge(&x, kinds[0], &y).map_err(TestCaseError::fail)?;
    }
}
