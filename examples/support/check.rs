//! Feed-forward layers beside the crate's scalar oracle, on the hidden states that a model really had.

use std::thread;

use ffwd::oracle::{self, Bounded, DenseWeights, GatedWeights};
use ffwd::weights::{FeedForwardWeights, HostTensor};
use ffwd::{Activation, Gate};

use super::feed_forward::Call;
use super::{Result, fail};

/// Prints for each layer how far its results were from the oracle's, in shares of the bound of an f32 evaluation.
/// An error where one is beyond it.
pub fn print_layers(layers: &[FeedForwardWeights], calls: &[Call]) -> Result<()> {
    let shares = shares(layers, calls)?;
    let rows: usize = calls.iter().filter(|call| call.layer == 0).map(|call| call.x.len() / layers[0].d_model()).sum();
    println!("largest error of each feed-forward layer on {rows} tokens, in percent of its bound:");
    for (row, shares) in shares.chunks(10).enumerate() {
        let cells: Vec<String> = shares.iter().map(|share| format!("{:6.2}", 100.0 * share)).collect();
        println!("  layers from {:2} on {}", 10 * row, cells.join(" "));
    }
    // What is not a number is not within.
    match shares.iter().position(|share| !(..=1.0).contains(share)) {
        Some(layer) => fail(format!("layer {layer} is beyond its bound: {:.1} times", shares[layer])),
        None => Ok(()),
    }
}

/// The worst of each layer; layers are shared out among the cores.
fn shares(layers: &[FeedForwardWeights], calls: &[Call]) -> Result<Vec<f64>> {
    let each = layers.len().div_ceil(thread::available_parallelism().map_or(1, |cores| cores.get())).max(1);
    thread::scope(|scope| {
        let work = |(part, layers): (usize, &[FeedForwardWeights])| -> Result<Vec<f64>> {
            layers
                .iter()
                .zip(part * each..)
                .map(|(weights, layer)| share(weights, calls.iter().filter(|call| call.layer == layer)))
                .collect()
        };
        let threads: Vec<_> = layers.chunks(each).enumerate().map(|part| scope.spawn(move || work(part))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| fail("the oracle panicked")));
        Ok(joined.collect::<Result<Vec<_>>>()?.concat())
    })
}

fn share<'a>(weights: &FeedForwardWeights, calls: impl Iterator<Item = &'a Call>) -> Result<f64> {
    let (x, y): (Vec<_>, Vec<_>) = calls.map(|call| (call.x.as_slice(), call.y.as_slice())).unzip();
    let (x, y) = (x.concat(), y.concat());
    let truth = truth(weights, &x)?;
    if y.is_empty() || truth.len() != y.len() {
        return fail(format!("{} results where the oracle has {}", y.len(), truth.len()));
    }
    let unit = (weights.d_model() + weights.d_ff()) as f64 * f64::exp2(-24.0);
    let shares = y.iter().zip(&truth).map(|(y, truth)| (f64::from(*y) - truth.value).abs() / (unit * truth.terms));
    Ok(largest(shares))
}

/// The largest of some errors; NaN is larger than anything.
pub fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |most, error| if most.is_nan() || error <= most { most } else { error })
}

/// The layer in f64, with the weights that the GPU was given.
fn truth(weights: &FeedForwardWeights, x: &[f32]) -> Result<Vec<Bounded>> {
    let (d_model, d_ff) = (weights.d_model(), weights.d_ff());
    let tokens = x.len() / d_model;
    let bias = |bias: &Option<HostTensor>| bias.as_ref().map(HostTensor::to_f32);
    let function = weights.activation();
    Ok(match weights {
        FeedForwardWeights::Dense { w1, b1, w2, b2, .. } => {
            let (w1, b1, w2, b2) = (w1.to_f32(), bias(b1), w2.to_f32(), bias(b2));
            let weights = DenseWeights { d_model, d_ff, w1: &w1, b1: b1.as_deref(), w2: &w2, b2: b2.as_deref() };
            oracle::dense(x, tokens, &weights, &Activation::parse(function.unwrap_or("gelu"))?)
        }
        FeedForwardWeights::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, .. } => {
            let [w_gate, w_up, w_down] = [w_gate, w_up, w_down].map(|weight| weight.to_f32());
            let [b_gate, b_up, b_down] = [b_gate, b_up, b_down].map(bias);
            let weights = GatedWeights {
                d_model,
                d_ff,
                w_gate: &w_gate,
                b_gate: b_gate.as_deref(),
                w_up: &w_up,
                b_up: b_up.as_deref(),
                w_down: &w_down,
                b_down: b_down.as_deref(),
            };
            oracle::gated(x, tokens, &weights, &Gate::parse(function.unwrap_or("swiglu"))?)
        }
    })
}
