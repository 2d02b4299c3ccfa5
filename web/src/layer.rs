//! A real layer: SwiGLU of SmolLM2-135M on hidden states of a text, beside the oracle and PyTorch's answer in f64.

use ffwd::nn::FeedForwardArgs;
use ffwd::oracle::{self, GatedWeights};
use ffwd::weights::{FeedForwardWeights, Gguf, HostWeight};
use ffwd::{Element, FeedForward, Gate, Gpu};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use wasm_bindgen::JsError;

pub async fn run(gpu: &Gpu, model: Vec<u8>, states: &[u8]) -> Result<Value, JsError> {
    let weights = FeedForwardWeights::from_tensors(Gguf::from_bytes(model, "smollm2_layer0.gguf")?.tensors(), 0)?;
    let states = SafeTensors::deserialize(states)?;
    let x: Vec<f32> = states.tensor("layer0.x")?.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let torch: Vec<f64> = states.tensor("layer0.y")?.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let (d_model, d_ff) = (weights.d_model(), weights.d_ff());
    let tokens = x.len() / d_model;

    let layer = FeedForward::upload(gpu, &weights, Some("swiglu"), None)?;
    let input = gpu.tensor(&x, &[tokens, d_model], Element::F32)?;
    let (hidden, output) = (layer.hidden(&input)?, gpu.zeros(&[tokens, d_model], Element::F32)?);
    let plan = layer.plan(FeedForwardArgs { x: &input, hidden: &hidden, y: &output })?;
    plan.submit(gpu);
    let y = gpu.read_back_async(&output).await?;
    let (seconds, clock) = {
        let mut timer = ffwd::gpu::Timer::new(gpu)?;
        let seconds = timer.time_async(&plan, ffwd::gpu::Effort { fewest: 5, most: 5, seconds: 0.0 }).await?;
        (seconds[seconds.len() / 2], timer.clock().name())
    };

    let FeedForwardWeights::Gated { w_gate, w_up, w_down, .. } = &weights else {
        return Err(JsError::new("the file holds no gated layer"));
    };
    let [w_gate, w_up, w_down] = [w_gate, w_up, w_down].map(HostWeight::to_f32);
    let operands = GatedWeights { d_model, d_ff, w_gate: &w_gate, b_gate: None, w_up: &w_up, b_up: None, w_down: &w_down, b_down: None };
    let truth = oracle::gated(&x, tokens, &operands, &Gate::parse("swiglu")?);
    let bounds: Vec<f64> = truth.iter().map(|truth| (d_model + d_ff) as f64 * f64::exp2(-24.0) * truth.terms).collect();
    let truth: Vec<f64> = truth.iter().map(|truth| truth.value).collect();
    Ok(json!({
        "tokens": tokens,
        "d_model": d_model,
        "d_ff": d_ff,
        "kernels": plan.kernels().collect::<Vec<_>>(),
        "seconds": seconds,
        "clock": clock,
        "gflops": 6.0 * (tokens * d_model * d_ff) as f64 / seconds / 1e9,
        "y": &y[..8],
        "checks": [beside("the f64 oracle", &y, &truth, &bounds), beside("PyTorch in f64", &y, &torch, &bounds)],
    }))
}

/// The largest difference, and the largest as a share of its bound: at most 1 is right. NaN is larger than anything.
fn beside(what: &str, y: &[f32], expected: &[f64], bounds: &[f64]) -> Value {
    let errors = || y.iter().zip(expected).map(|(y, expected)| (f64::from(*y) - expected).abs());
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, v| if most.is_nan() || v <= most { most } else { v });
    let share = largest(&mut errors().zip(bounds).map(|(error, bound)| error / bound));
    json!({
        "beside": what,
        "error": largest(&mut errors()),
        "share": share,
        "passed": share <= 1.0 && y.len() == expected.len() && y.len() == bounds.len(),
    })
}
