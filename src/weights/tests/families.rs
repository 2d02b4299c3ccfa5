//! Every family of names, from a directory and from GGUF.

use crate::weights::testing::{Builder, Folder, string};
use crate::weights::{FeedForwardWeights, Gguf, LayerWeights, Model, Result, WeightsError};

/// The operands' first numbers tell which tensor each was.
fn firsts(weights: &FeedForwardWeights) -> Vec<(&'static str, f32)> {
    assert_eq!((weights.d_model(), weights.d_ff()), (2, 3));
    weights.check().unwrap();
    weights.operands().into_iter().map(|(name, operand)| (name, operand.to_f32()[0])).collect()
}

#[test]
fn dense_families() {
    for (config, [w1, b1, w2, b2], layer, activation) in [
        (
            r#"{"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 1, "hidden_size": 2, "intermediate_size": 3}"#,
            ["intermediate.dense.weight", "intermediate.dense.bias", "output.dense.weight", "output.dense.bias"]
                .map(|name| format!("bert.encoder.layer.0.{name}")),
            0,
            "gelu",
        ),
        (
            r#"{"model_type": "phi", "hidden_act": "gelu_new", "intermediate_size": 3}"#,
            ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].map(|name| format!("model.layers.4.mlp.{name}")),
            4,
            "gelu_new",
        ),
        (
            r#"{"model_type": "nemotron", "mlp_bias": true}"#,
            ["up_proj.weight", "up_proj.bias", "down_proj.weight", "down_proj.bias"].map(|name| format!("model.layers.0.mlp.{name}")),
            0,
            "relu_squared",
        ),
    ] {
        let folder = Folder::counting(config, &[(&w1, &[3, 2]), (&b1, &[3]), (&w2, &[2, 3]), (&b2, &[2])]);
        let weights = folder.model().unwrap().feed_forward(layer).unwrap();
        assert_eq!(firsts(&weights), [("w1", 0.0), ("b1", 100.0), ("w2", 200.0), ("b2", 300.0)]);
        assert_eq!(weights.activation(), Some(activation));
    }
}

#[test]
fn gated_families() {
    for (config, activation) in [
        (r#"{"model_type": "llama", "hidden_act": "silu", "mlp_bias": false}"#, Some("silu")),
        (r#"{"model_type": "mistral"}"#, Some("silu")),
        (r#"{"model_type": "qwen3", "hidden_act": "silu", "intermediate_size": 3}"#, Some("silu")),
        (r#"{"model_type": "gemma", "hidden_act": "gelu"}"#, Some("gelu_tanh")),
        (r#"{"model_type": "gemma2", "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}"#, Some("gelu_pytorch_tanh")),
        (r#"{"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "intermediate_size": 3}}"#, Some("gelu_tanh")),
        (r#"{"model_type": "unheard_of"}"#, None),
    ] {
        let name = |role| format!("model.layers.0.mlp.{role}_proj.weight");
        let folder = Folder::counting(config, &[(&name("gate"), &[3, 2]), (&name("up"), &[3, 2]), (&name("down"), &[2, 3])]);
        let weights = folder.model().unwrap().feed_forward(0).unwrap();
        assert_eq!(firsts(&weights), [("w_gate", 0.0), ("w_up", 100.0), ("w_down", 200.0)], "{config}");
        assert_eq!(weights.activation(), activation, "{config}");
    }
    let tensors = [("model.layers.0.mlp.gate_up_proj.weight", &[6, 2][..]), ("model.layers.0.mlp.down_proj.weight", &[2, 3])];
    let folder = Folder::counting(r#"{"model_type": "phi3", "hidden_act": "silu", "intermediate_size": 3}"#, &tensors);
    assert_eq!(firsts(&folder.model().unwrap().feed_forward(0).unwrap()), [("w_gate", 0.0), ("w_up", 6.0), ("w_down", 100.0)]);
}

#[test]
fn gpt_2_is_transposed() {
    let name = |rest| format!("h.0.mlp.{rest}");
    let names = ["c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias"].map(name);
    let shapes: [&[usize]; 4] = [&[2, 3], &[3], &[3, 2], &[2]];
    let tensors: Vec<_> = names.iter().map(String::as_str).zip(shapes).collect();
    let config = r#"{"model_type": "gpt2", "activation_function": "gelu_new", "n_layer": 1, "n_embd": 2, "n_inner": null}"#;
    let model = Folder::counting(config, &tensors).model().unwrap();
    let FeedForwardWeights::Dense { w1, w2, activation, .. } = model.feed_forward(0).unwrap() else { panic!() };
    assert_eq!((w1.shape(), w1.to_f32()), (&[3, 2][..], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!((w2.shape(), w2.to_f32()), (&[2, 3][..], vec![200.0, 202.0, 204.0, 201.0, 203.0, 205.0]));
    assert_eq!(activation.as_deref(), Some("gelu_new"));
    // A model of the same names in the other layout is refused, not turned.
    let shapes: [&[usize]; 4] = [&[3, 2], &[3], &[2, 3], &[2]];
    let tensors: Vec<_> = names.iter().map(String::as_str).zip(shapes).collect();
    let model = Folder::counting("{}", &tensors).model().unwrap();
    assert!(matches!(model.feed_forward(0), Err(WeightsError::Shape { .. })));
}

#[test]
fn t5_has_two_stacks() {
    let name = |stack: &str, layer, rest| format!("{stack}.block.0.layer.{layer}.DenseReluDense.{rest}.weight");
    let (encoder, decoder) = (|rest| name("encoder", 1, rest), |rest| name("decoder", 2, rest));
    let names = [encoder("wi_0"), encoder("wi_1"), encoder("wo"), decoder("wi_0"), decoder("wi_1"), decoder("wo")];
    let shapes: [&[usize]; 6] = [&[3, 2], &[3, 2], &[2, 3], &[3, 2], &[3, 2], &[2, 3]];
    let gated: Vec<_> = names.iter().map(String::as_str).zip(shapes).collect();
    let config = r#"{"model_type": "t5", "feed_forward_proj": "gated-gelu", "num_layers": 1, "d_model": 2, "d_ff": 3}"#;
    let model = Folder::counting(config, &gated).model().unwrap();
    assert_eq!(model.layers().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(firsts(&model.feed_forward(1).unwrap()), [("w_gate", 300.0), ("w_up", 400.0), ("w_down", 500.0)]);
    assert_eq!(model.facts(0).unwrap().activation.as_deref(), Some("gelu_new"));

    let plain = [(encoder("wi"), &[3, 2][..]), (encoder("wo"), &[2, 3])];
    let plain: Vec<_> = plain.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    let model = |config| Folder::counting(config, &plain).model().unwrap();
    let weights = model(r#"{"model_type": "t5", "num_layers": 1}"#).feed_forward(0).unwrap();
    assert_eq!((firsts(&weights), weights.activation()), (vec![("w1", 0.0), ("w2", 100.0)], Some("relu")));
    let error = model(config).feed_forward(0).unwrap_err().to_string();
    assert!(error.contains("\"feed_forward_proj\" is true") && error.contains("says false"), "{error}");
}

fn architecture(name: &str) -> Builder {
    Builder::new().pair("general.architecture", 8, &string(name))
}

fn opened(file: &Builder) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, file.build()).unwrap();
    Model::open(path)
}

#[test]
fn ggufs_architecture_decides_the_activation() {
    for (name, gated, dense) in [
        ("llama", Some("silu"), None),
        ("qwen3", Some("silu"), None),
        ("gemma2", Some("gelu_tanh"), None),
        ("bert", None, Some("gelu")),
        ("gpt2", None, Some("gelu_tanh")),
        ("phi2", None, Some("gelu_tanh")),
        ("t5", Some("gelu_tanh"), Some("relu")),
        ("unheard-of", None, None),
    ] {
        let up_down = |file: Builder| file.counting("blk.0.ffn_up.weight", &[3, 2], 1.0).counting("blk.0.ffn_down.weight", &[2, 3], 2.0);
        let file = up_down(architecture(name));
        assert_eq!(opened(&file).unwrap().feed_forward(0).unwrap().activation(), dense, "{name}");
        let file = file.counting("blk.0.ffn_gate.weight", &[3, 2], 0.0);
        let model = opened(&file).unwrap();
        assert_eq!((model.feed_forward(0).unwrap().activation(), model.architecture()), (gated, Some(name)));
    }
}

#[test]
fn ggufs_metadata_is_held_against_the_tensors() {
    let file = |key: &str, value: u32| {
        let file = architecture("llama").pair(key, 4, &value.to_le_bytes()).counting("blk.0.ffn_gate.weight", &[3, 2], 0.0);
        file.counting("blk.0.ffn_up.weight", &[3, 2], 0.0).counting("blk.0.ffn_down.weight", &[2, 3], 0.0)
    };
    let layer = |file: &Builder| opened(file).and_then(|model| model.layer(0));
    for (key, right) in [("llama.feed_forward_length", 3), ("llama.embedding_length", 2), ("llama.block_count", 1)] {
        assert!(matches!(layer(&file(key, right)), Ok(LayerWeights::FeedForward(_))));
        let error = layer(&file(key, 77)).unwrap_err().to_string();
        assert!(error.contains(&format!("{key:?} is 77")) && error.contains(&format!("says {right}")), "{error}");
    }
    assert!(matches!(layer(&file("llama.feed_forward_length", 0)), Err(WeightsError::Disagreement { .. })));
    let text = architecture("llama").pair("llama.block_count", 8, &string("one")).counting("blk.0.ffn_up.weight", &[3, 2], 0.0);
    assert!(matches!(opened(&text), Err(WeightsError::Metadata { .. })));
    let number = Builder::new().pair("general.architecture", 4, &[0; 4]).counting("blk.0.ffn_up.weight", &[3, 2], 0.0);
    assert!(matches!(opened(&number), Err(WeightsError::Metadata { .. })));
}

#[test]
fn ggufs_t5_has_two_stacks() {
    let file = architecture("t5").pair("t5.block_count", 4, &1_u32.to_le_bytes()).pair("t5.decoder_block_count", 4, &2_u32.to_le_bytes());
    let names = ["enc.blk.0", "dec.blk.0", "dec.blk.1"];
    let file = names.iter().enumerate().fold(file, |file, (i, stem)| {
        let first = 100.0 * i as f32;
        file.counting(&format!("{stem}.ffn_up.weight"), &[3, 2], first).counting(&format!("{stem}.ffn_down.weight"), &[2, 3], first)
    });
    let model = opened(&file).unwrap();
    assert_eq!(model.layers().len(), 3);
    assert_eq!(firsts(&model.feed_forward(2).unwrap()), [("w1", 200.0), ("w2", 200.0)]);
}

#[test]
fn one_layer_after_the_other() {
    let file = (0..3).fold(architecture("bert"), |file, n| {
        file.counting(&format!("blk.{n}.ffn_up.weight"), &[3, 2], n as f32).counting(&format!("blk.{n}.ffn_down.weight"), &[2, 3], 0.0)
    });
    let model = opened(&file).unwrap();
    let layers: Vec<_> = model.read_layers().map(Result::unwrap).collect();
    assert_eq!(layers.iter().map(|(p, _)| (p.layer, p.done, p.of)).collect::<Vec<_>>(), [(0, 1, 3), (1, 2, 3), (2, 3, 3)]);
    assert!(layers.iter().all(|(p, weights)| *weights == model.layer(p.layer).unwrap()));
    let facts = model.facts(0).unwrap();
    assert_eq!((facts.d_model, facts.d_ff, facts.gated, facts.biases), (2, 3, false, false));
    assert_eq!(facts.stored.into_iter().collect::<Vec<_>>(), [("f32".to_owned(), 48)]);
    // The same without a path.
    let from_memory = Gguf::from_bytes(file.build(), "f").unwrap();
    assert_eq!(FeedForwardWeights::from_tensors(from_memory.tensors(), 0).unwrap().activation(), None);
}
