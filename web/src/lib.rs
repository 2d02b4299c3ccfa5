//! What the page asks of the crate. Answers are JSON, so that the page needs no knowledge of Rust's types.

mod conformance;
mod curve;
mod layer;

/// What conformance shares with the native tests.
#[path = "../../tests/support"]
#[allow(dead_code, unused_imports, reason = "the native tests use the rest")]
mod support {
    mod compare;
    pub mod conformance;
    pub mod gate;
    mod guarded;
    mod inputs;
    pub mod layer;
    pub mod subject;

    pub use compare::{half_unit, judge, same_bits, sum_bound};
    pub use guarded::{GUARD, Guarded};
    pub use inputs::{inputs, numbers, rounded};
}

use ffwd::bench::{Bench, Options, workloads};
use ffwd::gpu::Selection;
use ffwd::{Activation, Gate, Gpu, verify, wgpu};
use js_sys::Function;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// Seconds that all runs of a workload may take on a visitor's device.
const PATIENCE: f64 = 20.0;

#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}

/// The visitor's GPU.
#[wasm_bindgen]
pub struct Device {
    gpu: Gpu,
    /// What the page knows of the adapter, and wgpu does not.
    name: String,
    browser: String,
}

#[wasm_bindgen]
impl Device {
    /// Opens the browser's adapter, with all that it offers or with what every browser grants. `name` stands for an adapter
    /// that does not tell its own.
    pub async fn open(name: String, browser: String, default_limits: bool) -> Result<Device, JsError> {
        let choice = Selection::default().choose_async().await?;
        let gpu =
            if default_limits { Gpu::least_capable_async(&choice.adapter).await? } else { Gpu::from_choice_async(&choice).await? };
        Ok(Self { gpu, name, browser })
    }

    /// Name, limits and features.
    pub fn describe(&self) -> String {
        let (info, limits) = (self.info(), self.gpu.limits());
        json!({
            "name": info.name,
            "browser": self.browser,
            "software": self.gpu.is_software(),
            "version": ffwd::VERSION,
            "features": self.gpu.device().features().iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
            "limits": {
                "storage buffers": limits.max_storage_buffers_per_shader_stage,
                "bytes of a binding": limits.max_storage_buffer_binding_size,
                "bytes of a buffer": limits.max_buffer_size,
                "bytes of workgroup memory": limits.max_compute_workgroup_storage_size,
                "invocations of a workgroup": limits.max_compute_invocations_per_workgroup,
            },
        })
        .to_string()
    }

    /// An activation and its derivative over a range, computed by the GPU, beside the oracle.
    pub async fn curve(&self, name: &str, low: f32, high: f32) -> Result<String, JsError> {
        Ok(curve::draw(&self.gpu, &Activation::parse(name)?, low, high).await?.to_string())
    }

    /// Layer 0 of SmolLM2 on hidden states of a text: the files of examples/data.
    pub async fn layer(&self, model: Vec<u8>, states: &[u8]) -> Result<String, JsError> {
        Ok(layer::run(&self.gpu, model, states).await?.to_string())
    }

    /// The quick benchmark, as `ffwd bench --quick --json` writes it. `progress` hears how many of how many are done, and what
    /// comes next.
    pub async fn bench(&self, progress: &Function) -> Result<String, JsError> {
        let workloads = workloads(true)?;
        let steps = workloads.len() + 1;
        tell(progress, 0, steps, "what the adapter can do at all");
        let mut bench = Bench::start(&self.gpu, Options { quick: true, max_seconds: PATIENCE }).await?;
        for (done, workload) in workloads.iter().enumerate() {
            tell(progress, done + 1, steps, &workload.name);
            bench.measure(workload).await?;
        }
        let mut report = bench.finish();
        report.adapter = self.info();
        Ok(self.hosted(report.to_json()).to_string())
    }

    /// The accuracy contract of functions whose name holds `filter`, as `ffwd verify --json` writes it.
    pub async fn verify(&self, filter: &str, progress: &Function) -> Result<String, JsError> {
        let name = |case: &verify::Case| match &case.function {
            ffwd::shader::function::Function::Activation(activation) => activation.to_string(),
            ffwd::shader::function::Function::Gate(gate) => gate.to_string(),
        };
        let cases: Vec<_> = verify::cases().into_iter().filter(|case| name(case).contains(filter)).collect();
        let mut rows = Vec::new();
        for (done, case) in cases.iter().enumerate() {
            tell(progress, done, cases.len(), &name(case));
            rows.extend(case.measure(&self.gpu).await?);
        }
        let mut report = verify::Report::new(&self.gpu, rows);
        report.adapter = self.info();
        Ok(self.hosted(report.to_json()).to_string())
    }

    /// The cases of the native tests: how many there were, and what failed.
    pub async fn conformance(&self, filter: &str, progress: &Function) -> Result<String, JsError> {
        Ok(conformance::run(&self.gpu, filter, |done, of, name| tell(progress, done, of, name)).await.to_string())
    }
}

impl Device {
    fn info(&self) -> wgpu::AdapterInfo {
        let mut info = self.gpu.info().clone();
        if info.name.is_empty() {
            info.name.clone_from(&self.name);
        }
        info.driver.clone_from(&self.browser);
        info
    }

    /// A page has no operating system to tell of but what its browser says.
    fn hosted(&self, mut report: Value) -> Value {
        report["host"]["os"] = "browser".into();
        report
    }
}

/// Names and formulas of all activations and gates.
#[wasm_bindgen]
pub fn catalogue() -> String {
    let activation = |activation: Activation| {
        let spec = activation.spec();
        json!({
            "name": activation.name(),
            "formula": spec.map_or("", |spec| spec.formula),
            "source": spec.map_or("", |spec| spec.source),
        })
    };
    json!({
        "activations": Activation::all().map(activation).collect::<Vec<_>>(),
        "gates": Gate::all().map(|gate| gate.to_string()).collect::<Vec<_>>(),
    })
    .to_string()
}

/// A page that stopped listening is none of our business.
fn tell(progress: &Function, done: usize, of: usize, next: &str) {
    let _ = progress.call3(&JsValue::NULL, &(done as u32).into(), &(of as u32).into(), &next.into());
}
