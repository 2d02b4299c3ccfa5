//! `ffwd model`: the page and the JSON, and what `ffwd ffn` makes of mixtures.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Raw, ffwd, read, succeed, write};

/// Of the weights below: the dense layer's, and each mixture's experts, shared expert, router and gate.
const BYTES: u64 = 4 * (3 * 8 * 1200 + 2 * (2 * 3 * 8 * 6 + 3 * 8 * 10 + 16 + 8));

/// A directory with one dense layer and two mixtures, with a shared expert, as Qwen2-MoE has them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "qwen2_moe", "hidden_act": "silu", "num_hidden_layers": 3, "hidden_size": 8, "intermediate_size": 1200,
        "moe_intermediate_size": 6, "shared_expert_intermediate_size": 10, "num_experts": 2, "num_experts_per_tok": 1,
        "mlp_only_layers": [0],
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let mut tensors = Vec::new();
    let mut network = |module: &str, d_ff: usize| {
        for (role, shape) in [("gate", [d_ff, 8]), ("up", [d_ff, 8]), ("down", [8, d_ff])] {
            tensors.push((format!("model.layers.{module}.{role}_proj.weight"), Raw::f32(&shape, &vec![0.5; 8 * d_ff])));
        }
    };
    network("0.mlp", 1200);
    for layer in 1..3 {
        network(&format!("{layer}.mlp.experts.0"), 6);
        network(&format!("{layer}.mlp.experts.1"), 6);
        network(&format!("{layer}.mlp.shared_expert"), 10);
    }
    for layer in 1..3 {
        tensors.push((format!("model.layers.{layer}.mlp.gate.weight"), Raw::f32(&[2, 8], &[0.5; 16])));
        tensors.push((format!("model.layers.{layer}.mlp.shared_expert_gate.weight"), Raw::f32(&[1, 8], &[0.5; 8])));
    }
    let tensors: Vec<_> = tensors.iter().map(|(name, raw)| (name.as_str(), raw)).collect();
    write(&folder.path().join("model.safetensors"), &tensors);
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn words(page: &str) -> Vec<String> {
    page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn layers_that_are_alike_share_a_line() {
    let folder = folder();
    let page = succeed(&["model", text(folder.path())]).unwrap();
    let lines = words(&page);
    assert!(lines[0].ends_with("qwen2_moe, 3 layers"), "{page}");
    for line in [
        "layers network activation d_model d_ff biases",
        "0 gated silu 8 1 200 no",
        "1-2 mixture silu 8 6 no",
        "layers experts a token scores normalised shared d_ff",
        "1-2 2 1 softmax no 10",
        "f32 119 616",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {page}");
    }
}

#[test]
fn programs_read_json() {
    let folder = folder();
    let model: Value = serde_json::from_str(&succeed(&["model", text(folder.path()), "--json"]).unwrap()).unwrap();
    assert_eq!((&model["architecture"], &model["stored"]), (&json!("qwen2_moe"), &json!({ "f32": BYTES })));
    assert_eq!(model["layers"].as_array().unwrap().len(), 3);
    assert_eq!(model["layers"][0]["mixture"], Value::Null);
    let mixture = json!({ "experts": 2, "per_token": 1, "scoring": "softmax", "normalised": false, "scale": 1.0, "shared_d_ff": 10 });
    assert_eq!((&model["layers"][2]["mixture"], &model["layers"][2]["layer"]), (&mixture, &json!(2)));
}

#[test]
fn a_file_is_a_model_too() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/smollm2_layer0.gguf");
    let page = succeed(&["model", text(&file)]).unwrap();
    let lines = words(&page);
    assert!(lines[0].ends_with("llama, 1 layer"), "{page}");
    assert!(lines.contains(&"0 gated silu 576 1 536 no".into()) && lines.contains(&"Q4_1 1 658 880".into()), "{page}");
}

#[test]
fn what_is_not_one_network_is_refused_by_name() {
    let folder = folder();
    let (x, y) = (folder.path().join("x.safetensors"), folder.path().join("y.safetensors"));
    write(&x, &[("x", &Raw::f32(&[1, 8], &[1.0; 8]))]);
    let ffn = |layer: &str, more: &[&str]| {
        let args = ["ffn", "--model", text(folder.path()), "--layer", layer, "--input", text(&x), "--output", text(&y)];
        ffwd(&[&args, more].concat())
    };
    write(&x, &[("x", &Raw::f32(&[1, 8], &[1.0; 8])), ("dy", &Raw::f32(&[1, 8], &[1.0; 8]))]);
    let refused = ffn("1", &["--backward"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && error.contains("layer 1 is a mixture of experts") && !y.exists(), "{error}");
    let output = ffn("0", &[]);
    assert!(output.status.success() && y.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    // Every product with gate or up is 4: the chosen expert counts half, the shared one as its gate says.
    let output = ffn("1", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sigmoid = 1.0 / (1.0 + f64::exp(-4.0));
    let hidden = 4.0 * sigmoid * 4.0;
    let expected = 0.5 * (6.0 * 0.5 * hidden) + sigmoid * (10.0 * 0.5 * hidden);
    for y in read(&y)["y"].to_f64() {
        assert!((y / expected - 1.0).abs() < 1e-5, "{y} for {expected}");
    }
    for (args, wanted) in [(vec!["model", text(&x)], "no feed-forward network"), (vec!["model", "/nonexistent"], "cannot open")] {
        let output = ffwd(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(wanted) && error.lines().count() == 1, "{error}");
    }
    assert_eq!(ffwd(&["model"]).status.code(), Some(2));
}
