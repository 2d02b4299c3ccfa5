//! Gradients of feed-forward layers against the oracle, by the bound of their sums.

mod support;

use ffwd::Element::{self, Bf16, F16, F32};
use ffwd::nn::FeedForwardBackward;
use ffwd::shader::matmul::Loop;
use ffwd::tuning::{Strategy, Tuning};
use ffwd::{Error, FeedForward, Gpu, Tensor};
use support::conformance::native as conformance;
use support::layer::{Function, Weights, tokens};
use support::{gpu, numbers, same_bits};

/// What a backward pass wrote: dx, then the gradients of the weights in the order of [`Layer::weights`].
fn gradients(gpu: &Gpu, layer: &FeedForward, operands: [&Tensor; 2], kinds: [Element; 2]) -> Result<Vec<Vec<f32>>, String> {
    pollster::block_on(conformance::written(gpu, layer, operands, kinds))
}

#[test]
fn layers_of_every_sort_and_kind() {
    conformance::hold(&conformance::gradients());
}

/// Whatever computes the products: the gradients of biases come from those of weights, or where a depth is split and from
/// cooperative matrices, from kernels of their own.
#[test]
fn every_loop_and_a_split_depth() {
    let [rows, d_model, d_ff] = [67, 12, 20];
    let weights = Weights::random(Function::dense("relu"), F32, d_model, d_ff, true);
    let (input, dy) = (tokens(F32, rows, d_model), numbers(F32, rows * d_model, 18));
    let truths = weights.gradients(&input, &dy);
    let tensor = |values: &[f32]| gpu().tensor(values, &[rows, d_model], F32).unwrap();
    let (x, dy) = (tensor(&input), tensor(&dy));
    let loops = Loop::available(&gpu().capabilities(), false).into_iter().filter(|looping| !matches!(looping, Loop::Cooperative(_)));
    let whole: Vec<_> = loops.map(Strategy::of).collect();
    let split = Strategy { slices: 3, ..whole[0] };
    for strategy in whole.iter().copied().chain([split]) {
        let layer = weights.upload(gpu(), 0).with_tuning(Tuning::Fixed(strategy));
        // Another kind is another text, of which one loop is enough.
        let kinds: &[Element] = if strategy == whole[0] || strategy == split { &[F32, Bf16] } else { &[F32] };
        for dw in kinds {
            let written = gradients(gpu(), &layer, [&x, &dy], [F32, *dw]).unwrap();
            for (k, (actual, truths)) in written.iter().zip(&truths).enumerate() {
                let element = if k == 0 { F32 } else { *dw };
                let judged = weights.judge_gradient(rows, element, truths, actual);
                assert!(judged.is_ok(), "{strategy}, {dw}: gradient {k}: {judged:?}");
            }
        }
        let sums = layer.gradients().unwrap();
        let plan = layer.backward(FeedForwardBackward { accumulate: true, ..FeedForwardBackward::new(&x, &dy, &sums) }).unwrap();
        plan.submit(gpu());
        plan.submit(gpu());
        let biases = sums.named().into_iter().zip(&truths[1..]).filter(|((name, _), _)| name.starts_with('b'));
        for ((name, sum), truths) in biases {
            let halves: Vec<f32> = gpu().read_back(sum.plain().unwrap()).unwrap().iter().map(|v| v / 2.0).collect();
            let judged = weights.judge_gradient(rows, F32, truths, &halves);
            assert!(judged.is_ok(), "{strategy}: {name}, added up: {judged:?}");
        }
    }
}

/// A layer with x and dy of `rows` tokens on the first device.
fn some(function: Function, rows: usize, bias: bool) -> (FeedForward, Tensor, Tensor) {
    let weights = Weights::random(function, F32, 12, 20, bias);
    let tensor = |values: &[f32]| gpu().tensor(values, &[rows, 12], F32).unwrap();
    (weights.upload(gpu(), 0), tensor(&tokens(F32, rows, 12)), tensor(&numbers(F32, rows * 12, 18)))
}

#[test]
fn gradients_are_the_same_every_time_and_add_up() {
    for function in [Function::dense("gelu"), Function::gated("swiglu")] {
        let (layer, x, dy) = some(function, 37, true);
        let once = gradients(gpu(), &layer, [&x, &dy], [F32; 2]).unwrap();
        let twice = gradients(gpu(), &layer, [&x, &dy], [F32; 2]).unwrap();
        for (once, twice) in once.iter().zip(&twice) {
            same_bits(once, twice).unwrap();
        }
        // Into what is there, two times, without dx.
        let sums = layer.gradients().unwrap();
        let args = FeedForwardBackward { accumulate: true, ..FeedForwardBackward::new(&x, &dy, &sums) };
        let plan = layer.backward(args).unwrap();
        plan.submit(gpu());
        plan.submit(gpu());
        for (sum, once) in sums.weights().into_iter().zip(&once[1..]) {
            let doubled: Vec<f32> = once.iter().map(|v| v + v).collect();
            same_bits(&gpu().read_back(sum.plain().unwrap()).unwrap(), &doubled).unwrap();
        }
    }
}

/// In whole 16 bytes, as of every buffer.
#[test]
fn a_plan_says_its_memory() {
    let bytes = |elements: usize| (4 * elements as u64).next_multiple_of(16);
    for (function, buffers) in [(Function::dense("gelu"), 2), (Function::gated("swiglu"), 3)] {
        for (bias, kind) in [(false, F32), (true, F32), (false, F16)] {
            let (layer, x, dy) = some(function.clone(), 7, bias);
            let (dx, gradients) = (gpu().zeros(&[7, 12], kind).unwrap(), layer.gradients().unwrap());
            let plan = layer.backward(FeedForwardBackward { dx: Some(&dx), ..FeedForwardBackward::new(&x, &dy, &gradients) });
            let parts = if kind == F16 && buffers == 3 { bytes(7 * 12) } else { 0 };
            assert_eq!(plan.unwrap().scratch_bytes(), buffers * bytes(7 * 20) + parts, "{function:?}, {bias}, {kind}");
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let (layer, x, dy) = some(Function::gated("swiglu"), 3, true);
    let (other, ..) = some(Function::dense("gelu"), 3, true);
    let (bare, ..) = some(Function::gated("swiglu"), 3, false);
    let (fits, dense, unbiased) = (layer.gradients().unwrap(), other.gradients().unwrap(), bare.gradients().unwrap());
    let short = dy.view(0, &[2, 12]).unwrap();
    let args = FeedForwardBackward::new(&x, &dy, &fits);
    layer.backward(args).unwrap();
    let refused = |args: FeedForwardBackward<'_>| layer.backward(args).unwrap_err();
    for (operand, args) in [
        ("dy", FeedForwardBackward { dy: &short, ..args }),
        ("dx", FeedForwardBackward { dx: Some(&short), ..args }),
        ("gradient of a bias", FeedForwardBackward { gradients: &unbiased, ..args }),
    ] {
        let error = refused(args);
        assert!(matches!(&error, Error::Shape { operand: found, .. } if *found == operand), "{operand}: {error}");
    }
    let error = bare.backward(args).unwrap_err();
    assert!(matches!(&error, Error::Shape { operand: "gradient of a bias", .. }), "{error}");
    let error = refused(FeedForwardBackward { gradients: &dense, ..args });
    assert!(matches!(&error, Error::Unsupported { .. }), "{error}");
    // What is saved for this pass must outlive it.
    for (input, dx) in [("x", &x), ("dy", &dy)] {
        let error = refused(FeedForwardBackward { dx: Some(dx), ..args });
        assert!(matches!(&error, Error::Alias { input: found, output: "dx" } if *found == input), "{error}");
    }
    let error = refused(FeedForwardBackward { gradients: layer.layer(), ..args });
    assert!(matches!(&error, Error::Alias { input: "a weight", output: "gradient of a weight" }), "{error}");
}
