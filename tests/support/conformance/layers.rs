//! Feed-forward layers and their gradients beside the oracle, by the bounds of their sums.

use ffwd::Element::{self, Bf16, F16, F32};
use ffwd::nn::{FeedForwardBackward, Layer};
use ffwd::shader::matmul::Loop;
use ffwd::{FeedForward, Gpu, Tensor};

use super::super::layer::{self, Function, Weights, run_async, some_loops, tokens, two_loops};
use super::super::{Guarded, numbers};
use super::Case;

/// Below, at and above every edge of vectors and tiles: tokens, d_model, d_ff.
const SIZES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [2, 3, 4],
    [4, 4, 5],
    [5, 5, 3],
    [31, 16, 31],
    [32, 32, 33],
    [33, 33, 32],
    [1, 64, 100],
    [5, 100, 64],
    [33, 31, 1],
    [2, 1, 33],
    [32, 4, 16],
    [1, 32, 31],
    [0, 5, 4],
];

/// Above the largest tile, ragged and in whole vectors.
const TILES: [[usize; 3]; 2] = [[131, 67, 133], [132, 68, 136]];

/// An odd size and one of whole vectors.
const PAIR: [[usize; 3]; 2] = [[5, 33, 31], [6, 32, 64]];

/// What gradients are taken of.
const BACKWARD: [[usize; 3]; 6] = [[1, 1, 1], [5, 33, 31], [8, 32, 64], [1, 12, 7], [67, 4, 5], [0, 5, 4]];

/// All layers.
pub fn every() -> Vec<Case> {
    [loops(&Function::dense("gelu"), true), loops(&Function::gated("swiglu"), false), functions(), mixed()].concat()
}

/// A layer of every size on every sort of loop, and above the largest tile on every loop.
pub fn loops(function: &Function, bias: bool) -> Vec<Case> {
    let of = |sizes: &[[usize; 3]], loops| cases(std::slice::from_ref(function), [F32; 2], bias, sizes, loops);
    [of(&SIZES, some_loops), of(&TILES, layer::loops)].concat()
}

/// Functions in both sorts of layers; relu_squared runs as a user's own expression.
pub fn functions() -> Vec<Case> {
    let dense = ["relu", "relu_squared", "prelu", "silu", "tanh"].map(Function::dense);
    let gated = ["swiglu_oai", "geglu", "relu_squared", "bilinear"].map(Function::gated);
    [(&dense[..], true), (&gated[..], true), (&dense[..2], false)]
        .map(|(functions, bias)| cases(functions, [F32; 2], bias, &PAIR, two_loops))
        .concat()
}

/// x of one kind, weights of another.
pub fn mixed() -> Vec<Case> {
    [[F32, F16], [F32, Bf16], [Bf16, Bf16], [Bf16, F32], [F16, F16]]
        .map(|kinds| cases(&[Function::dense("gelu"), Function::gated("swiglu")], kinds, true, &PAIR, two_loops))
        .concat()
}

fn cases(functions: &[Function], kinds: [Element; 2], bias: bool, sizes: &[[usize; 3]], loops: fn(&Gpu) -> Vec<Loop>) -> Vec<Case> {
    let of =
        |function: &Function| sizes.iter().map(|&sizes| Case::Layer { function: function.clone(), kinds, bias, sizes, loops }).collect();
    functions.iter().flat_map::<Vec<_>, _>(of).collect()
}

/// Gradients of all sorts of layers and mixtures of kinds.
pub fn gradients() -> Vec<Case> {
    let of = |functions: &[Function], kinds: [Element; 5], bias: bool, sizes: &[[usize; 3]]| -> Vec<Case> {
        let of =
            |function: &Function| sizes.iter().map(|&sizes| Case::Gradients { function: function.clone(), kinds, bias, sizes }).collect();
        functions.iter().flat_map::<Vec<_>, _>(of).collect()
    };
    let mut cases = Vec::new();
    for function in [Function::dense("gelu"), Function::gated("swiglu")] {
        for bias in [false, true] {
            cases.extend(of(std::slice::from_ref(&function), [F32; 5], bias, &BACKWARD));
        }
        for kinds in [[Bf16, Bf16, F32, Bf16, F32], [F32, F16, F16, F16, F16], [F16, F32, Bf16, F32, Bf16]] {
            cases.extend(of(std::slice::from_ref(&function), kinds, true, &BACKWARD[1..3]));
        }
    }
    cases.extend(of(&["relu", "relu_squared", "mish"].map(Function::dense), [F32; 5], true, &BACKWARD[1..3]));
    cases.extend(of(&["geglu", "bilinear", "relu_squared", "swiglu_oai"].map(Function::gated), [F32; 5], true, &BACKWARD[1..3]));
    cases
}

/// On every one of these loops.
pub async fn check(
    gpu: &Gpu,
    function: &Function,
    [x, w]: [Element; 2],
    bias: bool,
    [rows, d_model, d_ff]: [usize; 3],
    loops: &[Loop],
) -> Result<(), String> {
    let weights = Weights::random(function.clone(), w, d_model, d_ff, bias);
    let input = tokens(x, rows, d_model);
    for &looping in loops {
        let y = run_async(gpu, weights.upload(gpu, 0), &input, x, looping, 0).await;
        y.and_then(|y| weights.judge(&input, x, &y)).map_err(|fault| format!("{looping}: {fault}"))?;
    }
    Ok(())
}

pub async fn check_gradients(
    gpu: &Gpu,
    function: &Function,
    [x, w, y, dx, dw]: [Element; 5],
    bias: bool,
    [rows, d_model, d_ff]: [usize; 3],
) -> Result<(), String> {
    let weights = Weights::random(function.clone(), w, d_model, d_ff, bias);
    let (input, dy) = (tokens(x, rows, d_model), numbers(y, rows * d_model, 18));
    let truths = weights.gradients(&input, &dy);
    let shape = [rows, d_model];
    let (input, dy) = (Guarded::holding(gpu, &input, &shape, x, 2), Guarded::holding(gpu, &dy, &shape, y, 0));
    let written = written(gpu, &weights.upload(gpu, 0), [&input.tensor, &dy.tensor], [dx, dw]).await?;
    assert_eq!(written.len(), truths.len());
    for (k, (actual, truths)) in written.iter().zip(&truths).enumerate() {
        let element = if k == 0 { dx } else { dw };
        weights.judge_gradient(rows, element, truths, actual).map_err(|fault| format!("gradient {k}: {fault}"))?;
    }
    Ok(())
}

/// What a backward pass wrote: dx, then the gradients of the weights in the order of [`Layer::weights`].
pub async fn written(gpu: &Gpu, layer: &FeedForward, [x, dy]: [&Tensor; 2], [dx, dw]: [Element; 2]) -> Result<Vec<Vec<f32>>, String> {
    let (weights, outputs) = guarded(gpu, layer, dw);
    let dx = Guarded::output(gpu, x.shape(), dx, 3);
    let args = FeedForwardBackward { dx: Some(&dx.tensor), ..FeedForwardBackward::new(x, dy, &weights) };
    layer.backward(args).map_err(|error| error.to_string())?.submit(gpu);
    let mut written = vec![dx.check_async(gpu).await?];
    for output in &outputs {
        written.push(output.check_async(gpu).await?);
    }
    Ok(written)
}

/// A layer of the same form whose tensors are guarded outputs, and those in the order of [`Layer::weights`].
fn guarded(gpu: &Gpu, layer: &FeedForward, element: Element) -> (Layer, Vec<Guarded>) {
    let mut outputs = Vec::new();
    let gradients = layer.layer().map(|tensor| {
        outputs.push(Guarded::output(gpu, tensor.shape(), element, 1));
        Ok(outputs[outputs.len() - 1].tensor.clone())
    });
    (gradients.unwrap(), outputs)
}
