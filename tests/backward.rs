//! Gradients of feed-forward layers against the oracle, by the bound of their sums.

mod support;

use ffwd::Element::{self, Bf16, F16, F32};
use ffwd::nn::{FeedForwardBackward, Layer};
use ffwd::shader::matmul::Loop;
use ffwd::tuning::{Strategy, Tuning};
use ffwd::{Error, FeedForward, Gpu, Tensor};
use support::layer::{Function, Weights, tokens};
use support::{Guarded, devices, gpu, numbers, same_bits};

/// A layer of the same form whose tensors are guarded outputs, and those in the order of [`Layer::weights`].
fn guarded(gpu: &Gpu, layer: &FeedForward, element: Element) -> (Layer, Vec<Guarded>) {
    let mut outputs = Vec::new();
    let gradients = layer.layer().map(|tensor| {
        outputs.push(Guarded::output(gpu, tensor.shape(), element, 1));
        Ok(outputs[outputs.len() - 1].tensor.clone())
    });
    (gradients.unwrap(), outputs)
}

/// What a backward pass wrote: dx, then the gradients of the weights in the order of [`Layer::weights`].
fn gradients(gpu: &Gpu, layer: &FeedForward, [x, dy]: [&Tensor; 2], [dx, dw]: [Element; 2]) -> Result<Vec<Vec<f32>>, String> {
    let (weights, outputs) = guarded(gpu, layer, dw);
    let dx = Guarded::output(gpu, x.shape(), dx, 3);
    let args = FeedForwardBackward { dx: Some(&dx.tensor), ..FeedForwardBackward::new(x, dy, &weights) };
    layer.backward(args).map_err(|error| error.to_string())?.submit(gpu);
    std::iter::once(&dx).chain(&outputs).map(|output| output.check(gpu)).collect()
}

/// Kinds of x, the weights, dy, dx and the weights' gradients.
fn check(functions: &[Function], kinds: [Element; 5], biases: &[bool], sizes: &[[usize; 3]]) {
    let mut faults = Vec::new();
    let [x, w, y, dx, dw] = kinds;
    for device in devices() {
        let gpu = &device.gpu;
        for function in functions {
            for bias in biases {
                for &[rows, d_model, d_ff] in sizes {
                    let weights = Weights::random(function.clone(), w, d_model, d_ff, *bias);
                    let (input, dy) = (tokens(x, rows, d_model), numbers(y, rows * d_model, 18));
                    let truths = weights.gradients(&input, &dy);
                    let shape = [rows, d_model];
                    let (input, dy) = (Guarded::holding(gpu, &input, &shape, x, 2), Guarded::holding(gpu, &dy, &shape, y, 0));
                    let name = format!("{function:?} {rows} x {d_model} x {d_ff}, {kinds:?}, bias {bias}, on {}", device.name);
                    match gradients(gpu, &weights.upload(gpu, 0), [&input.tensor, &dy.tensor], [dx, dw]) {
                        Err(fault) => faults.push(format!("{name}: {fault}")),
                        Ok(written) => {
                            assert_eq!(written.len(), truths.len());
                            for (k, (actual, truths)) in written.iter().zip(&truths).enumerate() {
                                let element = if k == 0 { dx } else { dw };
                                if let Err(fault) = weights.judge_gradient(rows, element, truths, actual) {
                                    faults.push(format!("{name}: gradient {k}: {fault}"));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [5, 33, 31], [8, 32, 64], [1, 12, 7], [67, 4, 5], [0, 5, 4]];

#[test]
fn dense_layers() {
    check(&[Function::dense("gelu")], [F32; 5], &[false, true], &SIZES);
    // relu_squared runs as a user's own expression.
    check(&["relu", "relu_squared", "mish"].map(Function::dense), [F32; 5], &[true], &SIZES[1..3]);
}

#[test]
fn gated_layers() {
    check(&[Function::gated("swiglu")], [F32; 5], &[false, true], &SIZES);
    check(&["geglu", "bilinear", "relu_squared", "swiglu_oai"].map(Function::gated), [F32; 5], &[true], &SIZES[1..3]);
}

#[test]
fn kinds_mix() {
    for kinds in [[Bf16, Bf16, F32, Bf16, F32], [F32, F16, F16, F16, F16], [F16, F32, Bf16, F32, Bf16]] {
        check(&[Function::dense("silu"), Function::gated("swiglu")], kinds, &[true], &SIZES[1..3]);
    }
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
