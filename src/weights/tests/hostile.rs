//! Files that lie, are broken or ask for too much: errors of their kind, and nothing large is allocated.

use std::fs;

use crate::accuracy::Random;
use crate::weights::testing::{Builder, Folder, Raw, mutated, string};
use crate::weights::{Model, WeightsError};

const GATED: &[(&str, &[usize])] = &[
    ("model.layers.0.mlp.gate_proj.weight", &[3, 2]),
    ("model.layers.0.mlp.up_proj.weight", &[3, 2]),
    ("model.layers.0.mlp.down_proj.weight", &[2, 3]),
];

#[test]
fn json_of_any_kind_is_an_error_or_understood() {
    let deep = |open: &str, close: &str| format!("{{\"hidden_size\": {}{}}}", open.repeat(100_000), close.repeat(100_000));
    for config in [
        r#"{"hidden_size": 1e400}"#.to_owned(),
        r#"{"hidden_size": 99999999999999999999999999}"#.into(),
        r#"{"hidden_size": -2}"#.into(),
        r#"{"hidden_size": 2.5}"#.into(),
        r#"{"hidden_size": "2"}"#.into(),
        r#"{"hidden_size": [2]}"#.into(),
        r#"{"hidden_size": {"a": 2}}"#.into(),
        r#"{"hidden_size": true}"#.into(),
        r#"{"intermediate_size": [3, -1]}"#.into(),
        r#"{"mlp_bias": 0}"#.into(),
        r#"{"model_type": 7}"#.into(),
        r#"{"num_experts": 1, "swiglu_limit": "7"}"#.into(),
        r#"{"quantization_config": {"quant_method": 4}}"#.into(),
        r#"{"quantization_config": {"bits": [], "group_size": 1}}"#.into(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "{\"hidden_size\": ".into(),
        "null".into(),
        "\u{feff}{}".into(),
        "{} {}".into(),
    ] {
        let read = Folder::counting(&config, GATED).model();
        assert!(matches!(read, Err(WeightsError::Json { .. })), "{:.60}: {read:?}", config);
    }
    for config in [r#"{"text_config": 3}"#, r#"{"text_config": null, "hidden_size": null}"#, r#"{"quantization_config": []}"#] {
        assert!(Folder::counting(config, GATED).model().unwrap().layer(0).is_ok(), "{config}");
    }
    let folder = Folder::counting("{}", GATED);
    fs::File::create(folder.0.path().join("config.json")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(folder.model(), Err(WeightsError::Count { claimed: 0x100_0000_0000, .. })));
}

#[test]
fn numbers_of_experts_are_not_believed() {
    let config = r#"{"num_experts_per_tok": 1, "norm_topk_prob": true}"#;
    let name = |expert: usize, role: &str| format!("layers.0.mlp.experts.{expert}.{role}_proj.weight");
    let experts = |numbers: &[usize], router: usize| {
        let mut tensors = vec![("layers.0.mlp.gate.weight".to_owned(), Raw::counting(&[router, 2], 0.0))];
        for expert in numbers {
            for (role, shape) in [("gate", [3, 2]), ("up", [3, 2]), ("down", [2, 3])] {
                tensors.push((name(*expert, role), Raw::counting(&shape, 0.0)));
            }
        }
        tensors
    };
    let error = |tensors: &[(String, Raw)]| Folder::new(config, tensors).model().unwrap().layer(0).unwrap_err();
    assert!(Folder::new(config, &experts(&[0, 1], 2)).model().unwrap().layer(0).is_ok());
    for numbers in [&[0, 4_000_000][..], &[0, usize::MAX], &[0, 2]] {
        assert!(matches!(error(&experts(numbers, 2)), WeightsError::Incomplete { missing, .. } if missing == name(1, "gate")));
    }
    assert!(matches!(error(&experts(&[1], 2)), WeightsError::Incomplete { missing, .. } if missing.contains("experts.0.")));
    let text = error(&experts(&[0, 1], 3)).to_string();
    assert!(text.contains("[2, 3, 2]") && text.contains("3 first"), "{text}");

    let mut unlike = experts(&[0, 1], 2);
    unlike[4].1 = Raw::counting(&[4, 2], 0.0);
    let text = error(&unlike).to_string();
    assert!(text.contains("experts.1.gate_proj.weight\" is f32 [4, 2]") && text.contains("is f32 [3, 2]"), "{text}");
    let mut lost = experts(&[0, 1], 2);
    lost.pop();
    assert!(matches!(error(&lost), WeightsError::Incomplete { missing, .. } if missing == name(1, "down")));
    let mut biased = experts(&[0, 1], 2);
    biased.push(("layers.0.mlp.experts.0.up_proj.bias".into(), Raw::counting(&[3], 0.0)));
    assert!(matches!(error(&biased), WeightsError::Incomplete { missing, .. } if missing == "layers.0.mlp.experts.1.up_proj.bias"));
    let mut dense = experts(&[0, 1], 2);
    dense.push(("layers.0.mlp.up_proj.weight".into(), Raw::counting(&[3, 2], 0.0)));
    assert!(matches!(error(&dense), WeightsError::NotUnderstood { .. }));
    let mut narrow = experts(&[0, 1], 2);
    narrow[0].1 = Raw::counting(&[2, 5], 0.0);
    let text = error(&narrow).to_string();
    assert!(text.contains("[2, 3, 2]") && text.contains("5 last"), "{text}");
}

#[test]
fn an_index_stays_in_its_directory() {
    let folder = Folder::counting("{}", GATED);
    fs::rename(folder.0.path().join("model.safetensors"), folder.0.path().join("a.safetensors")).unwrap();
    let index = |shard: &str| {
        let map: serde_json::Map<_, _> = GATED.iter().map(|(name, _)| ((*name).to_owned(), shard.into())).collect();
        folder.put("model.safetensors.index.json", serde_json::json!({ "weight_map": map }).to_string().as_bytes());
        folder.model().and_then(|model| model.layer(0))
    };
    assert!(index("a.safetensors").is_ok());
    for shard in ["../a.safetensors", "/etc/passwd", "./a/../a.safetensors", "", "..", "."] {
        assert!(matches!(index(shard), Err(WeightsError::ShardName { .. })), "{shard}");
    }
    assert!(matches!(index("\0"), Err(WeightsError::Io { .. })));
    folder.put("model.safetensors.index.json", br#"{"weight_map": {"model.layers.0.mlp.up_proj.weight": 7}}"#);
    assert!(matches!(folder.model(), Err(WeightsError::Json { .. })));
}

#[test]
fn mutated_models_do_not_panic() {
    let config = r#"{"model_type": "llama", "hidden_act": "silu", "num_hidden_layers": 1, "hidden_size": 2, "intermediate_size": 3,
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}"#;
    let folder = Folder::counting(config, GATED);
    let gguf = Builder::new()
        .pair("general.architecture", 8, &string("llama"))
        .pair("llama.expert_count", 4, &2_u32.to_le_bytes())
        .pair("llama.expert_used_count", 4, &1_u32.to_le_bytes())
        .counting("blk.0.ffn_gate_inp.weight", &[2, 2], 0.0)
        .counting("blk.0.ffn_gate_exps.weight", &[2, 3, 2], 0.0)
        .counting("blk.0.ffn_up_exps.weight", &[2, 3, 2], 0.0)
        .counting("blk.0.ffn_down_exps.weight", &[2, 2, 3], 0.0)
        .build();
    let whole = fs::read(folder.0.path().join("model.safetensors")).unwrap();
    let mut random = Random::new(11);
    let (mut read, mut refused) = (0, 0);
    for i in 0..600 {
        match i % 3 {
            0 => folder.put("config.json", &mutated(&mut random, config.as_bytes())),
            1 => folder.put("model.safetensors", &mutated(&mut random, &whole)),
            _ => folder.put("model.gguf", &mutated(&mut random, &gguf)),
        }
        let path = if i % 3 == 2 { folder.0.path().join("model.gguf") } else { folder.0.path().to_owned() };
        match Model::open(path).and_then(|model| model.read_layers().try_for_each(|layer| layer.map(|_| ()))) {
            Ok(()) => read += 1,
            Err(_) => refused += 1,
        }
        folder.put("config.json", config.as_bytes());
        folder.put("model.safetensors", &whole);
    }
    assert!(read > 0 && refused > 0, "{read} {refused}");
}
