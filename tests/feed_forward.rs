//! Feed-forward layers against the oracle, by the bound of their sums.

mod support;

use ffwd::ops::{Linear, LinearArgs, Weights as LinearWeights};
use ffwd::{Activation, Element};
use support::conformance::native::{functions, hold, loops, mixed};
use support::layer::{Function, Weights, run, small, some_loops, tokens, two_loops};
use support::{Guarded, gpu, judge, numbers, same_bits, sum_bound};

// Apart, since compiling the loops is most of the work and threads share it.
#[test]
fn dense_layers_of_every_size_on_every_loop() {
    hold(&loops(&Function::dense("gelu"), true));
}

#[test]
fn gated_layers_of_every_size_on_every_loop() {
    hold(&loops(&Function::gated("swiglu"), false));
}

#[test]
fn every_function_fits_both_layers() {
    hold(&functions());
}

#[test]
fn kinds_mix() {
    hold(&mixed());
}

#[test]
fn operands_may_be_views() {
    for (x, w) in [(Element::F32, Element::F32), (Element::Bf16, Element::F16)] {
        let weights = Weights::random(Function::gated("swiglu"), w, 12, 8, true);
        let input = tokens(x, 5, 12);
        for offset in 0..6 {
            for looping in two_loops(gpu()) {
                let y = run(gpu(), weights.upload(gpu(), (3 * offset) % 7), &input, x, looping, offset);
                y.and_then(|y| weights.judge(&input, x, &y)).unwrap_or_else(|fault| panic!("{x} by {w} at {offset}: {fault}"));
            }
        }
    }
}

#[test]
fn long_sums_stay_within_their_bound() {
    let weights = Weights::random(Function::dense("identity"), Element::F32, 100_000, 3, true);
    let input = tokens(Element::F32, 1, 100_000);
    for looping in some_loops(gpu()) {
        let y = run(gpu(), weights.upload(gpu(), 0), &input, Element::F32, looping, 0);
        y.and_then(|y| weights.judge(&input, Element::F32, &y)).unwrap_or_else(|fault| panic!("{looping}: {fault}"));
    }
}

/// Every property below on every loop, from an f32 layer's weights and rows to its y.
fn f32_layer(weights: &Weights, x: &[f32], check: impl Fn(&[f32])) {
    for looping in two_loops(gpu()) {
        check(&run(gpu(), weights.upload(gpu(), 0), x, Element::F32, looping, 0).unwrap());
    }
}

#[test]
fn tokens_do_not_know_each_other() {
    for [rows, d_model, d_ff] in [[37, 33, 31], [37, 32, 64]] {
        let weights = Weights::random(Function::gated("swiglu"), Element::F32, d_model, d_ff, true);
        let input = tokens(Element::F32, rows, d_model);
        // Of a prime number of rows, multiples of 10 are a permutation.
        let permuted =
            |values: &[f32]| -> Vec<f32> { (0..rows).flat_map(|row| values[row * 10 % rows * d_model..][..d_model].to_vec()).collect() };
        for looping in some_loops(gpu()) {
            let y = |x: &[f32]| run(gpu(), weights.upload(gpu(), 0), x, Element::F32, looping, 0).unwrap();
            same_bits(&y(&permuted(&input)), &permuted(&y(&input))).unwrap();
            same_bits(&y(&input[..d_model]), &y(&input)[..d_model]).unwrap();
        }
    }
}

#[test]
fn a_row_of_zeros_leaves_the_last_bias() {
    let mut weights = Weights::random(Function::dense("relu"), Element::F32, 9, 7, true);
    let mut input = tokens(Element::F32, 3, 9);
    input[9..18].fill(0.0);
    let biases = weights.biases.as_mut().unwrap();
    biases[0].iter_mut().for_each(|b| *b = -b.abs());
    let last = biases[2].clone();
    f32_layer(&weights, &input, |y| same_bits(&y[9..18], &last).unwrap());
}

#[test]
fn one_hot_rows_read_out_the_weights() {
    for d in [7, 32, 33] {
        let identity: Vec<f32> = (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect();
        let weights = Weights { last: identity.clone(), ..Weights::random(Function::dense("identity"), Element::F32, d, d, false) };
        let columns: Vec<f32> = (0..d * d).map(|i| weights.first[i % d * d + i / d]).collect();
        f32_layer(&weights, &identity, |y| same_bits(y, &columns).unwrap());
    }
}

#[test]
fn up_that_is_zero_closes_the_gate() {
    for d in [5, 8] {
        let mut weights = Weights::random(Function::gated("swiglu"), Element::F32, d, 6, true);
        weights.up.fill(0.0);
        let biases = weights.biases.as_mut().unwrap();
        biases[1].fill(0.0);
        let want = biases[2].repeat(3);
        f32_layer(&weights, &tokens(Element::F32, 3, d), |y| same_bits(y, &want).unwrap());
    }
}

#[test]
fn without_hidden_features_the_last_bias_is_left() {
    for gate in [Function::dense("relu"), Function::gated("swiglu")] {
        let weights = Weights::random(gate, Element::F32, 8, 0, true);
        let want = weights.biases.as_ref().unwrap()[2].repeat(2);
        f32_layer(&weights, &tokens(Element::F32, 2, 8), |y| same_bits(y, &want).unwrap());
    }
}

/// Learned parameters in the epilogue: a slope for each column.
#[test]
fn columns_have_their_own_slopes() {
    let (rows, depth) = (6, 20);
    for cols in [33, 40] {
        let (a, w) = (tokens(Element::F32, rows, depth), small(Element::F32, cols * depth, 1));
        let slopes = numbers(Element::F32, cols, 2);
        let tensor = |values: &[f32], shape: &[usize]| gpu().tensor(values, shape, Element::F32).unwrap();
        let (a_in, w_in, table) = (tensor(&a, &[rows, depth]), tensor(&w, &[cols, depth]), tensor(&slopes, &[1, cols]));
        for looping in some_loops(gpu()) {
            let out = Guarded::output(gpu(), &[rows, cols], Element::F32, 0);
            let op = Linear::new(gpu(), Activation::parse("prelu").unwrap()).with_loop(looping).unwrap();
            let weights = LinearWeights::plain(&w_in);
            op.plan(LinearArgs { parameters: Some(&table), ..LinearArgs::new(&a_in, weights, &out.tensor) }).unwrap().submit(gpu());
            let sample = |(i, actual): (usize, f32)| {
                let (row, col) = (i / cols, i % cols);
                let product = |k: usize| f64::from(a[row * depth + k]) * f64::from(w[col * depth + k]);
                let (sum, terms) = (0..depth).fold((0.0, 0.0), |(sum, terms), k| (sum + product(k), terms + product(k).abs()));
                let slope = f64::from(slopes[col]);
                let truth = if sum > 0.0 { sum } else { slope * sum };
                ffwd::accuracy::Sample { actual, truth, forgiven: sum_bound(depth, 1.0, terms * slope.abs().max(1.0)) }
            };
            let samples: Vec<_> = out.read(gpu(), "out").into_iter().enumerate().map(sample).collect();
            judge(Element::F32, 0.0, &samples, |i| (i / cols, i % cols)).unwrap();
        }
    }
}
