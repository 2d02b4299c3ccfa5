//! Training runs: PyTorch's, followed step by step, and what any run must keep to.

mod support;

use ffwd::Element::F32;
use ffwd::shader::function::Function;
use ffwd::train::{NetworkSpec, Optimizer, Schedule, Trainer, TrainerOptions};
use ffwd::weights::read_safetensors;
use serde_json::Value;
use support::{gpu, regression};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/training.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The run of this name: `single.relu`, `stack2.swiglu`, ...; in ours its weights are `blocks.0.w1` and so on.
fn trainer(golden: &Value, run: &str) -> (Trainer, Vec<(String, String)>) {
    let (model, function) = run.split_once('.').unwrap();
    let size = |name: &str| golden[name].as_u64().unwrap() as usize;
    let function = Function::parse(function).unwrap();
    let d_ff = if matches!(function, Function::Gate(_)) { size("d_ff_swiglu") } else { size("d_ff") };
    let blocks = if model == "single" { 1 } else { 2 };
    let spec = NetworkSpec { residual: model != "single", ..NetworkSpec::new(function, blocks, size("d_model"), d_ff) };
    let tensors = read_safetensors(format!("{DATA}/training_init.safetensors")).unwrap();
    let values = |name: &str| tensors.get(name).unwrap().to_f32();
    let (x, target) = (values("x"), values("target"));
    let task = regression(x, target);
    let schedule = Schedule::constant(golden["runs"][run]["lr"].as_f64().unwrap());
    let options = TrainerOptions { optimizer: Optimizer::SGD, schedule, ..TrainerOptions::default() };
    let trainer = Trainer::new(gpu(), &spec, &task, &options).unwrap();
    let mut names = Vec::new();
    for weight in golden["runs"][run]["weights"].as_array().unwrap() {
        let theirs = weight.as_str().unwrap();
        let rest = theirs.strip_prefix(run).unwrap().trim_start_matches('.');
        let ours = if blocks == 1 { format!("blocks.0.{rest}") } else { format!("blocks.{rest}") };
        trainer.set(&ours, &values(theirs)).unwrap();
        names.push((theirs.to_owned(), ours));
    }
    (trainer, names)
}

/// Losses before each update, gradients' norms, and the last weights.
#[test]
fn pytorch_is_followed() {
    let golden = golden();
    let bytes = std::fs::read(format!("{DATA}/training_final.safetensors")).unwrap();
    let last = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (run, course) in golden["runs"].as_object().unwrap() {
        let (mut trainer, names) = trainer(&golden, run);
        let losses = numbers(&course["loss"]);
        trainer.step().unwrap();
        for (theirs, ours) in &names {
            let (_, gradient) = trainer.gradients().find(|(name, _)| name == ours).unwrap();
            let squares = gpu().read_back(gradient).unwrap().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            let expected = course["grad_norm_step0"][theirs].as_f64().unwrap();
            assert!((squares.sqrt() / expected - 1.0).abs() < 1e-6, "{run} {theirs}: {} for {expected}", squares.sqrt());
        }
        for _ in 1..losses.len() {
            trainer.step().unwrap();
        }
        let records = trainer.records().unwrap();
        assert_eq!(records.len(), losses.len());
        let worst = records.iter().zip(&losses).map(|(record, loss)| (f64::from(record.loss) / loss - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{run}: {worst}");
        let loss = trainer.evaluate().unwrap().loss;
        assert!((loss / course["final_loss"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{run}: {loss}");
        for (theirs, ours) in &names {
            let (_, weight) = trainer.parameters().find(|(name, _)| name == ours).unwrap();
            let expected = last.tensor(theirs).unwrap().data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
            for (k, (actual, expected)) in gpu().read_back(weight).unwrap().iter().zip(expected).enumerate() {
                assert!((f64::from(*actual) - expected).abs() < 1e-5, "{run} {theirs} {k}: {actual} for {expected}");
            }
            assert_eq!(weight.element(), F32);
        }
        println!("{run}: losses within {worst:.1e} of PyTorch's f64");
    }
}
