//! What a config says is held against the tensors: both numbers are in the error.

use crate::weights::testing::Folder;
use crate::weights::{LayerWeights, Result, WeightsError};

/// Layer 0 dense, layer 1 a mixture of two.
const MIXED: &[(&str, &[usize])] = &[
    ("model.layers.0.mlp.gate_proj.weight", &[5, 2]),
    ("model.layers.0.mlp.up_proj.weight", &[5, 2]),
    ("model.layers.0.mlp.down_proj.weight", &[2, 5]),
    ("model.layers.1.mlp.gate.weight", &[2, 2]),
    ("model.layers.1.mlp.experts.0.gate_proj.weight", &[3, 2]),
    ("model.layers.1.mlp.experts.0.up_proj.weight", &[3, 2]),
    ("model.layers.1.mlp.experts.0.down_proj.weight", &[2, 3]),
    ("model.layers.1.mlp.experts.1.gate_proj.weight", &[3, 2]),
    ("model.layers.1.mlp.experts.1.up_proj.weight", &[3, 2]),
    ("model.layers.1.mlp.experts.1.down_proj.weight", &[2, 3]),
    ("model.layers.1.mlp.shared_experts.gate_proj.weight", &[6, 2]),
    ("model.layers.1.mlp.shared_experts.up_proj.weight", &[6, 2]),
    ("model.layers.1.mlp.shared_experts.down_proj.weight", &[2, 6]),
    ("model.layers.1.mlp.gate.e_score_correction_bias", &[2]),
];

const RIGHT: &str = r#"{"model_type": "deepseek_v3", "hidden_act": "silu", "num_hidden_layers": 2, "hidden_size": 2,
    "intermediate_size": 5, "moe_intermediate_size": 3, "n_routed_experts": 2, "n_shared_experts": 2, "num_experts_per_tok": 1,
    "first_k_dense_replace": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "n_group": 1,
    "topk_group": 1, "mlp_bias": false}"#;

fn both(config: &str) -> Result<Vec<LayerWeights>> {
    Folder::counting(config, MIXED).model()?.read_layers().map(|read| read.map(|(_, weights)| weights)).collect()
}

#[test]
fn what_agrees_is_read() {
    let layers = both(RIGHT).unwrap();
    let [LayerWeights::FeedForward(dense), LayerWeights::Mixture(mixture)] = layers.as_slice() else { panic!() };
    assert_eq!((dense.d_ff(), mixture.routing.scale, mixture.shared.as_ref().unwrap().d_ff()), (5, 2.5, 6));
    assert_eq!(mixture.choice_bias.as_ref().unwrap().shape, [2]);
    let model = Folder::counting(RIGHT, MIXED).model().unwrap();
    let error = model.feed_forward(1).unwrap_err();
    assert!(matches!(error, WeightsError::Mixture { layer: 1, experts: 2, .. }), "{error}");
}

#[test]
fn both_numbers_are_told() {
    for (key, right, wrong, found) in [
        ("num_hidden_layers", "2", "3", "2"),
        ("num_hidden_layers", "2", "1", "2"),
        ("hidden_size", "2", "4", "2"),
        ("intermediate_size", "5", "7", "5"),
        ("intermediate_size", "5", "18446744073709551615", "5"),
        ("moe_intermediate_size", "3", "4", "3"),
        ("n_routed_experts", "2", "4000000", "2"),
        ("n_shared_experts", "2", "1", "6"),
        ("num_experts_per_tok", "1", "3", "2"),
        ("mlp_bias", "false", "true", "false"),
    ] {
        let config = RIGHT.replace(&format!("\"{key}\": {right}"), &format!("\"{key}\": {wrong}"));
        assert_ne!(config, RIGHT, "{key}");
        let error = both(&config).unwrap_err().to_string();
        let said = if key == "n_shared_experts" { "3" } else { wrong };
        // A number beyond i64 is none at all.
        let wanted = if wrong.len() > 19 { vec![key] } else { vec![key, said, found] };
        assert!(wanted.iter().all(|part| error.contains(part)), "{key}: {error}");
    }
}

#[test]
fn which_layers_are_mixtures_is_held_against_the_tensors() {
    for (first, step) in [("0", ""), ("2", ""), ("1", r#", "mlp_only_layers": [1]"#)] {
        let config = RIGHT.replace("\"first_k_dense_replace\": 1", &format!("\"first_k_dense_replace\": {first}{step}"));
        assert!(matches!(both(&config), Err(WeightsError::LayerKind { .. })), "{config}");
    }
    let qwen = |step: &str| RIGHT.replace("\"first_k_dense_replace\": 1", step);
    assert!(both(&qwen(r#""decoder_sparse_step": 2, "mlp_only_layers": []"#)).is_ok());
    assert!(both(&qwen(r#""decoder_sparse_step": 1, "mlp_only_layers": [0]"#)).is_ok());
    assert!(matches!(both(&qwen(r#""decoder_sparse_step": 1, "mlp_only_layers": []"#)), Err(WeightsError::LayerKind { layer: 0, .. })));
    assert!(matches!(both(&qwen(r#""decoder_sparse_step": 0"#)), Err(WeightsError::LayerKind { layer: 1, .. })));
}

#[test]
fn layers_may_differ_in_width() {
    let config = |widths: &str| RIGHT.replace("\"intermediate_size\": 5", &format!("\"intermediate_size\": {widths}"));
    assert!(both(&config("[5, 9]")).is_ok());
    assert!(matches!(both(&config("[9, 5]")), Err(WeightsError::Disagreement { .. })));
}

#[test]
fn predicting_layers_may_follow() {
    let config = RIGHT.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1, \"num_nextn_predict_layers\": 1");
    assert_eq!(both(&config).unwrap().len(), 2);
}
