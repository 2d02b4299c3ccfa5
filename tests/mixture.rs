//! Mixtures of experts against the oracle: the same choice, and weights and results within the bound of their sums.

mod support;

use ffwd::nn::Mixture;
use ffwd::oracle::mixture;
use ffwd::routing::Routing;
use ffwd::shader::matmul::Loop;
use ffwd::tuning::{Strategy, Tuning};
use ffwd::{Element, Gpu};
use support::layer::{loops, some_loops, tokens, two_loops};
use support::mixture::{Run, SIGMOID, Weights, run};
use support::{devices, gpu, same_bits};

/// Experts, d_model, d_ff: ragged and in whole vectors.
const PAIR: [[usize; 3]; 2] = [[5, 17, 13], [8, 32, 24]];

fn check(cases: &[Weights], element: Element, rows: &[usize], loops: fn(&Gpu) -> Vec<Loop>) {
    let mut faults = Vec::new();
    for device in devices() {
        for (number, weights) in cases.iter().enumerate() {
            for &rows in rows {
                let x = tokens(element, rows, weights.d_model);
                let truth = mixture(&x, rows, &weights.truth());
                for looping in loops(&device.gpu) {
                    let mixture = weights.upload(&device.gpu, 0).with_loop(looping);
                    let judged = run(&device.gpu, &mixture, &x, element, 0).and_then(|run| weights.judge_run(&truth, element, &run));
                    if let Err(fault) = judged {
                        faults.push(format!("case {number}, {rows} tokens, {element}, {looping} on {}: {fault}", device.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_number_of_tokens_on_every_loop() {
    let cases = PAIR.map(|sizes| Weights::random(Routing::softmax(2), "swiglu", Element::F32, sizes));
    check(&cases, Element::F32, &[1, 2, 31, 33, 70], some_loops);
    check(&cases[1..], Element::F32, &[40], loops);
}
