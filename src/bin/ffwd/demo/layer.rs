//! Layer 0 of SmolLM2-135M on hidden states of real text, beside the oracle and PyTorch's answers.

use std::io::Write;
use std::path::PathBuf;

use ffwd::gpu::{Clock, time};
use ffwd::nn::FeedForwardArgs;
use ffwd::oracle::{self, Bounded, GatedWeights};
use ffwd::weights::{FeedForwardWeights, HostTensor, HostWeight, load_feed_forward, read_safetensors};
use ffwd::{FeedForward, Gate, Gpu};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::error::{CliError, message};
use crate::files;
use crate::table::{self, Align};

const WEIGHTS: &str = "smollm2_layer0.gguf";
const STATES: &str = "smollm2_layer0.safetensors";
const REPETITIONS: usize = 5;

/// What was run and how far it is from each truth.
#[derive(Debug)]
pub struct Layer {
    tokens: usize,
    d_model: usize,
    d_ff: usize,
    kernels: Vec<String>,
    seconds: f64,
    clock: Clock,
    checks: Vec<Check>,
}

/// A comparison with one truth.
#[derive(Debug)]
struct Check {
    truth: &'static str,
    error: f64,
    relative: f64,
    share: f64,
}

impl Check {
    /// The largest difference, also in parts of the largest value, and of the bounds.
    fn new(truth: &'static str, y: &[f32], expected: &[f64], bounds: &[f64]) -> Self {
        let errors: Vec<f64> = y.iter().zip(expected).map(|(y, expected)| (f64::from(*y) - expected).abs()).collect();
        // NaN is larger than anything.
        let largest =
            |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, v| if most.is_nan() || v <= most { most } else { v });
        let error = largest(&mut errors.iter().copied());
        let scale = largest(&mut expected.iter().map(|v| v.abs()));
        let share = largest(&mut errors.iter().zip(bounds).map(|(error, bound)| error / bound));
        let complete = y.len() == expected.len() && y.len() == bounds.len();
        Self { truth, error, relative: error / scale, share: if complete { share } else { f64::INFINITY } }
    }

    fn passed(&self) -> bool {
        self.share <= 1.0
    }
}

/// Where the shipped file is: in the sources this was built from, or under the current folder.
fn example(name: &str) -> Result<PathBuf, CliError> {
    let folders = [concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data"), "examples/data"];
    match folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => {
            message(format!("{name} is neither in {} nor in {}; the demo needs the repository's examples/data", folders[0], folders[1]))
        }
    }
}

/// Reads a tensor of doubles, which the GPU's files never hold.
fn read_f64(path: &PathBuf, name: &str) -> Result<Vec<f64>, CliError> {
    let failed = |reason: String| CliError::Message(format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.to_string()))?;
    let tensor = file.tensor(name).map_err(|error| failed(error.to_string()))?;
    if tensor.dtype() != safetensors::Dtype::F64 {
        return Err(failed(format!("`{name}` is {}, F64 is needed", tensor.dtype())));
    }
    Ok(tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

/// The same layer in f64.
fn truth(x: &HostTensor, weights: &FeedForwardWeights) -> Result<Vec<Bounded>, CliError> {
    let (d_model, d_ff) = (weights.d_model(), weights.d_ff());
    let FeedForwardWeights::Gated { w_gate, w_up, w_down, .. } = weights else {
        return message(format!("{WEIGHTS} holds no gated layer"));
    };
    let [tokens, width] = x.shape[..] else { return message(format!("{STATES}: x has shape {:?}", x.shape)) };
    if width != d_model {
        return message(format!("{STATES}: x has rows of {width}; {d_model} are needed"));
    }
    let [w_gate, w_up, w_down] = [w_gate, w_up, w_down].map(HostWeight::to_f32);
    let operands = GatedWeights { d_model, d_ff, w_gate: &w_gate, b_gate: None, w_up: &w_up, b_up: None, w_down: &w_down, b_down: None };
    Ok(oracle::gated(&x.to_f32(), tokens, &operands, &Gate::parse("swiglu")?))
}

/// Runs the layer and compares.
pub fn run(gpu: &Gpu) -> Result<Layer, CliError> {
    let (weights, states) = (example(WEIGHTS)?, example(STATES)?);
    let reference = read_f64(&states, "layer0.y")?;
    let tensors = read_safetensors(&states)?;
    let (x, torch) = (tensors.get("layer0.x")?, tensors.get("layer0.y_torch_f32")?);
    let weights = load_feed_forward(&weights, 0)?;
    let truth = truth(&x, &weights)?;

    let layer = FeedForward::upload(gpu, &weights, Some("swiglu"), None)?;
    let x = files::upload(gpu, &x)?;
    let (hidden, y) = (layer.hidden(&x)?, gpu.zeros(x.shape(), x.element())?);
    let plan = layer.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y })?;
    plan.submit(gpu);
    let result = gpu.read_back(&y)?;
    let (seconds, clock) = time(gpu, &plan, REPETITIONS)?;

    let (d_model, d_ff) = (weights.d_model(), weights.d_ff());
    let bounds: Vec<f64> = truth.iter().map(|truth| (d_model + d_ff) as f64 * f64::exp2(-24.0) * truth.terms).collect();
    let values: Vec<f64> = truth.iter().map(|truth| truth.value).collect();
    let torch: Vec<f64> = torch.to_f32().into_iter().map(f64::from).collect();
    // Two results in f32 may each be off by the bound.
    let doubled: Vec<f64> = bounds.iter().map(|bound| 2.0 * bound).collect();
    let checks = vec![
        Check::new("scalar oracle, f64", &result, &values, &bounds),
        Check::new("PyTorch, f64", &result, &reference, &bounds),
        Check::new("PyTorch, f32", &result, &torch, &doubled),
    ];
    let kernels = plan.kernels().map(str::to_owned).collect();
    Ok(Layer { tokens: x.rows_cols().0, d_model, d_ff, kernels, seconds: seconds[seconds.len() / 2], clock, checks })
}

impl Layer {
    /// Whether every comparison is within its bound.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Check::passed)
    }

    fn flops(&self) -> f64 {
        6.0 * (self.tokens * self.d_model * self.d_ff) as f64 / self.seconds
    }

    /// For people.
    pub fn print(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let Self { tokens, d_model, d_ff, .. } = self;
        writeln!(out, "SwiGLU, layer 0 of SmolLM2-135M: {d_model} -> {d_ff} -> {d_model}, Q4_1 weights, {tokens} tokens of English text")?;
        writeln!(out, "  y = (silu(x Wg^T) * (x Wu^T)) Wd^T")?;
        for kernel in &self.kernels {
            writeln!(out, "  kernel {kernel}")?;
        }
        let clock = if self.clock == Clock::Timestamps { "timestamps" } else { "wall clock" };
        writeln!(out, "  {:.2} ms, {:.1} GFLOP/s ({clock}, median of {REPETITIONS})\n", self.seconds * 1e3, self.flops() / 1e9)?;
        let mut lines = vec![["beside", "max error", "/ max |y|", "of the bound", ""].map(String::from).to_vec()];
        for check in &self.checks {
            lines.push(vec![
                check.truth.to_owned(),
                format!("{:.2e}", check.error),
                format!("{:.2e}", check.relative),
                format!("{:.2} %", 100.0 * check.share),
                if check.passed() { "ok" } else { "FAIL" }.to_owned(),
            ]);
        }
        table::print(out, &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Left], &lines)
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let check = |check: &Check| {
            json!({
                "beside": check.truth,
                "max_error": check.error,
                "max_error_relative": check.relative,
                "share_of_bound": check.share,
                "passed": check.passed(),
            })
        };
        json!({
            "model": "SmolLM2-135M",
            "layer": 0,
            "tokens": self.tokens,
            "d_model": self.d_model,
            "d_ff": self.d_ff,
            "weights": "Q4_1",
            "kernels": self.kernels,
            "seconds": self.seconds,
            "flops_per_second": self.flops(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }
}
