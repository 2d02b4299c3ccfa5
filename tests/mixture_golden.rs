//! Mixtures of experts against PyTorch's: Mixtral, Qwen2-MoE and gpt-oss, as Hugging Face Transformers computes them.

#[path = "cli/support.rs"]
#[allow(dead_code, reason = "of the command line's tests, only files are read here")]
mod files;
mod support;

use ffwd::accuracy::Sample;
use ffwd::nn::Mixture;
use ffwd::oracle::mixture;
use ffwd::routing::Routing;
use ffwd::{Element, Gate};
use files::{Tensors, data, read};
use support::layer::{self, Function, some_loops};
use support::mixture::{Weights, run};
use support::{devices, gpu, same_bits};

/// One block of the file.
struct Case {
    name: &'static str,
    weights: Weights,
    x: Vec<f32>,
}

/// `name` of every expert, one after the other.
fn stacked(tensors: &Tensors, prefix: &str, experts: usize, name: &str) -> Vec<f32> {
    (0..experts).flat_map(|e| tensors[&format!("{prefix}.experts.{e}.{name}.weight")].to_f32()).collect()
}

/// Rows of each `[rows, cols]` of `[.., rows, cols]` as columns.
fn flipped(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let one = |matrix: &[f32]| -> Vec<f32> { (0..rows * cols).map(|i| matrix[i % rows * cols + i / rows]).collect() };
    values.chunks(rows * cols).flat_map(one).collect()
}

fn every_other(values: &[f32], first: usize) -> Vec<f32> {
    values.iter().skip(first).step_by(2).copied().collect()
}

fn cases(tensors: &Tensors) -> Vec<Case> {
    let f32s = |name: &str| tensors[name].to_f32();
    let plain = |name: &'static str, routing, experts, d_model, d_ff, names: [&str; 3]| Weights {
        router: f32s(&format!("{name}.gate.weight")),
        matrices: names.map(|matrix| stacked(tensors, name, experts, matrix)),
        ..Weights::random(routing, "swiglu", Element::F32, [experts, d_model, d_ff])
    };
    let mixtral = plain("mixtral", Routing::softmax(2), 8, 64, 96, ["w1", "w3", "w2"]);
    let qwen = plain("qwen2_moe", Routing::softmax(2).unnormalised(), 4, 32, 24, ["gate_proj", "up_proj", "down_proj"]);
    let [first, up, last] = ["gate_proj", "up_proj", "down_proj"].map(|n| f32s(&format!("qwen2_moe.shared_expert.{n}.weight")));
    let function = Function::Gated(Gate::parse("swiglu").unwrap());
    let shared = layer::Weights { first, up, last, ..layer::Weights::random(function, Element::F32, 32, 40, false) };
    let qwen = Weights { shared: Some((shared, Some(f32s("qwen2_moe.shared_expert_gate.weight")))), ..qwen };
    // Weights lie with inputs first, gate and up in turns.
    let (both, biases) = (flipped(&f32s("gpt_oss.experts.gate_up_proj"), 32, 96), f32s("gpt_oss.experts.gate_up_proj_bias"));
    let turns = |turn: usize| -> Vec<f32> { both.chunks(32).skip(turn).step_by(2).flatten().copied().collect() };
    let oss = Weights {
        router: f32s("gpt_oss.router.weight"),
        router_bias: Some(f32s("gpt_oss.router.bias")),
        matrices: [turns(0), turns(1), flipped(&f32s("gpt_oss.experts.down_proj"), 48, 32)],
        biases: Some([every_other(&biases, 0), every_other(&biases, 1), f32s("gpt_oss.experts.down_proj_bias")]),
        ..Weights::random(Routing::softmax(2), "swiglu_oai", Element::F32, [4, 32, 48])
    };
    let case = |(name, weights)| Case { name, weights, x: f32s(&format!("{name}.x")) };
    [("mixtral", mixtral), ("qwen2_moe", qwen), ("gpt_oss", oss)].map(case).into()
}

#[test]
fn the_oracle_is_pytorch_in_f64() {
    let tensors = read(&data("moe.safetensors"));
    for Case { name, weights, x } in cases(&tensors) {
        let truth = mixture(&x, x.len() / weights.d_model, &weights.truth());
        let chosen: Vec<i32> = truth.routed.iter().flat_map(|routed| routed.experts.iter().map(|e| *e as i32)).collect();
        let indices: Vec<i32> =
            tensors[&format!("{name}.topk_indices")].bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
        assert_eq!(chosen, indices, "{name}");
        let close = |what: &str, ours: Vec<(f64, f64)>| {
            let theirs = tensors[&format!("{name}.{what}")].to_f64();
            assert_eq!(ours.len(), theirs.len());
            for ((value, terms), want) in ours.iter().zip(theirs) {
                assert!((value - want).abs() <= 1e-14 * terms, "{name}.{what}: {value}, not {want}");
            }
        };
        let pairs = |of: &[ffwd::oracle::Bounded]| of.iter().map(|v| (v.value, v.terms)).collect::<Vec<_>>();
        close("router_logits", truth.routed.iter().flat_map(|routed| pairs(&routed.logits)).collect());
        close("topk_weights", truth.routed.iter().flat_map(|routed| pairs(&routed.weights)).collect());
        close("y", pairs(&truth.y));
        // PyTorch in f32 is within the bound that ours has to keep.
        let theirs = tensors[&format!("{name}.y_torch_f32")].to_f32();
        weights.judge(name, 0, Element::F32, &truth.y, &theirs).unwrap();
    }
}

#[test]
fn every_loop_says_what_pytorch_says() {
    let tensors = read(&data("moe.safetensors"));
    for Case { name, weights, x } in cases(&tensors) {
        let truth = mixture(&x, x.len() / weights.d_model, &weights.truth());
        for device in devices() {
            for looping in some_loops(&device.gpu) {
                let mixture = weights.upload(&device.gpu, 0).with_loop(looping);
                let answer = run(&device.gpu, &mixture, &x, Element::F32, 0).unwrap();
                weights.judge_run(&truth, Element::F32, &answer).unwrap_or_else(|fault| panic!("{name}, {looping}: {fault}"));
                // And as near to PyTorch's weights as its own f32 logits are to its f64 ones, a few units more.
                let logits =
                    (tensors[&format!("{name}.router_logits")].to_f64(), tensors[&format!("{name}.router_logits_torch_f32")].to_f64());
                let theirs = logits.0.iter().zip(&logits.1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let want = tensors[&format!("{name}.topk_weights")].to_f64();
                for (actual, truth) in answer.weights.iter().zip(want) {
                    let sample = Sample { actual: *actual, truth, forgiven: 4.0 * theirs * truth.abs() };
                    assert!(sample.within(Element::F32, 8.0), "{name}, {looping}: {actual}, not {truth}");
                }
            }
        }
    }
}

/// What a loader hands over is uploaded as it is.
#[test]
fn weights_of_the_host_are_uploaded() {
    let tensors = read(&data("moe.safetensors"));
    for Case { name, weights, x } in cases(&tensors) {
        let want = run(gpu(), &weights.upload(gpu(), 0), &x, Element::F32, 0).unwrap();
        let uploaded = Mixture::upload(gpu(), &weights.on_host(), None).unwrap();
        let answer = run(gpu(), &uploaded, &x, Element::F32, 0).unwrap();
        same_bits(&answer.all(), &want.all()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let halves = Mixture::upload(gpu(), &weights.on_host(), Some(Element::F16)).unwrap();
        assert_eq!((halves.layer().w_gate.kind(), halves.layer().router.element()), (Element::F16.into(), Element::F32));
    }
}
