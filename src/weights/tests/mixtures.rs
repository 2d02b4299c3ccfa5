//! Mixtures of experts in every form, held against the reference where there is one.

use ::safetensors::Dtype;

use crate::routing::{Routing, Scoring};
use crate::weights::testing::{Builder, Folder, Raw, golden, string};
use crate::weights::{Block, FeedForwardWeights, HostTensor, HostWeight, LayerWeights, MixtureWeights, Model, Result, WeightsError};

const MIXTRAL: &str = r#"{"model_type": "mixtral", "hidden_act": "silu", "num_hidden_layers": 1, "hidden_size": 64,
    "intermediate_size": 96, "num_local_experts": 8, "num_experts_per_tok": 2}"#;
const QWEN2_MOE: &str = r#"{"model_type": "qwen2_moe", "hidden_act": "silu", "num_hidden_layers": 1, "hidden_size": 32, "num_experts": 4,
    "intermediate_size": 999, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40, "num_experts_per_tok": 2,
    "norm_topk_prob": false, "decoder_sparse_step": 1, "mlp_only_layers": []}"#;
const GPT_OSS: &str = r#"{"model_type": "gpt_oss", "hidden_act": "silu", "swiglu_limit": 7.0, "hidden_size": 32, "intermediate_size": 48,
    "num_local_experts": 4, "num_experts_per_tok": 2}"#;

/// Tensors and their names.
type Named = Vec<(String, Raw)>;

/// A reference's weights as those of layer 0, and its inputs and outputs.
fn reference(case: &str, module: &str) -> (Named, Named) {
    let all = golden("moe.safetensors").into_iter();
    let own = all.filter_map(|(name, raw)| Some((name.strip_prefix(case)?.strip_prefix('.')?.to_owned(), raw)));
    let is_weight = |name: &str| name.contains("gate.") || name.contains("expert") || name.starts_with("router.");
    let (weights, data) = own.partition::<Vec<_>, _>(|(name, _)| is_weight(name));
    (weights.into_iter().map(|(name, raw)| (format!("model.layers.0.{module}.{name}"), raw)).collect(), data)
}

fn mixture(model: Result<Model>) -> Result<MixtureWeights> {
    match model?.layer(0)? {
        LayerWeights::Mixture(mixture) => Ok(mixture),
        LayerWeights::FeedForward(_) => panic!("one network"),
    }
}

fn numbers(tensor: &HostTensor) -> Vec<f64> {
    tensor.to_f32().into_iter().map(f64::from).collect()
}

/// `x w^T + b`, row `at` of `w` first.
fn linear(x: &[f64], weight: &[f64], at: usize, rows: usize, bias: Option<&[f64]>) -> Vec<f64> {
    let row = |r: usize| weight[(at + r) * x.len()..].iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    (0..rows).map(|r| row(r) + bias.map_or(0.0, |bias| bias[at + r])).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// What one token becomes, from the definitions.
fn forward(mixture: &MixtureWeights, x: &[f64]) -> Vec<f64> {
    let gate = |name: Option<&str>, gate: f64, up: f64| match name {
        Some("swiglu_oai") => {
            let g = gate.min(7.0);
            (up.clamp(-7.0, 7.0) + 1.0) * g * sigmoid(1.702 * g)
        }
        _ => gate * sigmoid(gate) * up,
    };
    let experts = mixture.router.shape[0];
    let bias = |bias: &Option<HostTensor>| bias.as_ref().map(numbers);
    let weight = |weight: &HostWeight| weight.to_f32().into_iter().map(f64::from).collect::<Vec<_>>();
    let logits = linear(x, &numbers(&mixture.router), 0, experts, bias(&mixture.router_bias).as_deref());
    assert_eq!(mixture.routing.scoring, Scoring::Softmax);
    let sum: f64 = logits.iter().map(|l| l.exp()).sum();
    let mut chosen: Vec<_> = logits.iter().map(|l| l.exp() / sum).enumerate().collect();
    chosen.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    chosen.truncate(mixture.routing.top_k);
    let total: f64 = if mixture.routing.normalise { chosen.iter().map(|(_, score)| score).sum() } else { 1.0 };
    let (w_gate, w_up, w_down) = (weight(&mixture.w_gate), weight(&mixture.w_up), weight(&mixture.w_down));
    let (b_gate, b_up, b_down) = (bias(&mixture.b_gate), bias(&mixture.b_up), bias(&mixture.b_down));
    let d_ff = mixture.w_gate.shape()[1];
    let mut y = vec![0.0; x.len()];
    let mut add = |out: Vec<f64>, factor: f64| y.iter_mut().zip(out).for_each(|(y, out)| *y += out * factor);
    for (expert, score) in chosen {
        let up = linear(x, &w_up, expert * d_ff, d_ff, b_up.as_deref());
        let gates = linear(x, &w_gate, expert * d_ff, d_ff, b_gate.as_deref());
        let hidden: Vec<_> = gates.iter().zip(up).map(|(g, u)| gate(mixture.activation.as_deref(), *g, u)).collect();
        add(linear(&hidden, &w_down, expert * x.len(), x.len(), b_down.as_deref()), score / total * f64::from(mixture.routing.scale));
    }
    if let Some(FeedForwardWeights::Gated { w_gate, w_up, w_down, activation, .. }) = &mixture.shared {
        let d_ff = w_gate.shape()[0];
        let (gates, up) = (linear(x, &weight(w_gate), 0, d_ff, None), linear(x, &weight(w_up), 0, d_ff, None));
        let hidden: Vec<_> = gates.iter().zip(up).map(|(g, u)| gate(activation.as_deref(), *g, u)).collect();
        let factor = mixture.shared_gate.as_ref().map_or(1.0, |gate| sigmoid(linear(x, &numbers(gate), 0, 1, None)[0]));
        add(linear(&hidden, &weight(w_down), 0, x.len(), None), factor);
    }
    y
}

/// Runs the reference's tokens; its sums are in f64 too, so little is lost.
fn assert_reference(mixture: &MixtureWeights, data: &[(String, Raw)], d_model: usize) {
    let find = |name: &str| data.iter().find(|(n, _)| n == name).unwrap().1.to_f64();
    let (x, want) = (find("x"), find("y"));
    assert!(x.len() == want.len() && !x.is_empty());
    for (x, want) in x.chunks_exact(d_model).zip(want.chunks_exact(d_model)) {
        for (y, want) in forward(mixture, x).iter().zip(want) {
            assert!((y - want).abs() <= 1e-9 * want.abs().max(1e-3), "{y} {want}");
        }
    }
}

#[test]
fn mixtral_is_the_reference() {
    let (weights, data) = reference("mixtral", "block_sparse_moe");
    let folder = Folder::new(MIXTRAL, &weights);
    let read = mixture(folder.model()).unwrap();
    assert_eq!(read.routing, Routing::softmax(2));
    assert_eq!((read.w_gate.shape(), read.w_down.shape()), (&[8, 96, 64][..], &[8, 64, 96][..]));
    assert_reference(&read, &data, 64);
    let facts = folder.model().unwrap().facts(0).unwrap();
    assert_eq!((facts.d_model, facts.d_ff, facts.mixture.unwrap().experts), (64, 96, 8));
    assert_eq!(facts.stored["f32"], 4 * (8 * 64 + 8 * 3 * 64 * 96));

    // As transformers 5 has them: one tensor for gate and up of all experts.
    let find = |expert: usize, name: &str| {
        let name = format!("model.layers.0.block_sparse_moe.experts.{expert}.{name}.weight");
        weights.iter().find(|(n, _)| *n == name).unwrap().1.bytes.clone()
    };
    let fused = |names: &[&str]| (0..8).flat_map(|e| names.iter().flat_map(move |name| find(e, name)).collect::<Vec<_>>()).collect();
    let tensor = |shape: &[usize], bytes| Raw { kind: Dtype::F32, shape: shape.to_vec(), bytes };
    for module in ["mlp", "block_sparse_moe"] {
        let name = |rest: &str| format!("model.layers.0.{module}.{rest}");
        let tensors = [
            (name("gate.weight"), weights.iter().find(|(n, _)| n.ends_with("moe.gate.weight")).unwrap().1.clone()),
            (name("experts.gate_up_proj"), tensor(&[8, 192, 64], fused(&["w1", "w3"]))),
            (name("experts.down_proj"), tensor(&[8, 64, 96], fused(&["w2"]))),
        ];
        assert_eq!(mixture(Folder::new(MIXTRAL, &tensors).model()).unwrap(), read);
    }
}

#[test]
fn qwen2_moe_is_the_reference() {
    let (weights, data) = reference("qwen2_moe", "mlp");
    let folder = Folder::new(QWEN2_MOE, &weights);
    let read = mixture(folder.model()).unwrap();
    assert_eq!(read.routing, Routing::softmax(2).unnormalised());
    assert_eq!(read.shared.as_ref().map(|shared| (shared.d_ff(), shared.activation())), Some((40, Some("silu"))));
    assert_eq!(read.shared_gate.as_ref().unwrap().shape, [1, 32]);
    assert_reference(&read, &data, 32);
    assert_eq!(folder.model().unwrap().facts(0).unwrap().mixture.unwrap().shared_d_ff, Some(40));
}

#[test]
fn gpt_oss_is_the_reference() {
    let (weights, data) = reference("gpt_oss", "mlp");
    let read = mixture(Folder::new(GPT_OSS, &weights).model()).unwrap();
    assert_eq!(read.activation.as_deref(), Some("swiglu_oai"));
    assert_eq!((read.w_gate.shape(), read.w_down.shape()), (&[4, 48, 32][..], &[4, 32, 48][..]));
    assert_eq!(
        (read.b_up.as_ref().unwrap().shape.as_slice(), read.router_bias.as_ref().unwrap().shape.as_slice()),
        (&[4, 48][..], &[4][..])
    );
    assert_reference(&read, &data, 32);
    let limit = GPT_OSS.replace("7.0", "6.5");
    let error = mixture(Folder::new(&limit, &weights).model()).unwrap_err().to_string();
    assert!(error.contains("\"swiglu_limit\" is 6.5; 7"), "{error}");
}

#[test]
fn gpt_oss_stays_quantised() {
    let bytes = |count: usize, salt: usize| (0..count).map(|i| (i * 31 + i / 7 + salt) as u8).collect::<Vec<_>>();
    let raw = |shape: &[usize], salt| Raw { kind: Dtype::U8, shape: shape.to_vec(), bytes: bytes(shape.iter().product(), salt) };
    let name = |rest: &str| format!("model.layers.0.mlp.{rest}");
    let mut scales = raw(&[2, 64, 1], 0);
    scales.bytes.iter_mut().enumerate().for_each(|(i, scale)| *scale = 120 + (i % 16) as u8);
    let tensors = [
        (name("router.weight"), Raw::counting(&[2, 32], 0.0)),
        (name("router.bias"), Raw::counting(&[2], 0.0)),
        (name("experts.gate_up_proj_blocks"), raw(&[2, 64, 1, 16], 1)),
        (name("experts.gate_up_proj_scales"), scales.clone()),
        (name("experts.gate_up_proj_bias"), Raw::counting(&[2, 64], 0.0)),
        (name("experts.down_proj_blocks"), raw(&[2, 32, 1, 16], 2)),
        (name("experts.down_proj_scales"), Raw { shape: vec![2, 32, 1], bytes: scales.bytes[..64].to_vec(), ..scales.clone() }),
        (name("experts.down_proj_bias"), Raw::counting(&[2, 32], 0.0)),
    ];
    let config = r#"{"model_type": "gpt_oss", "num_local_experts": 2, "num_experts_per_tok": 1, "hidden_size": 32, "intermediate_size": 32,
        "quantization_config": {"quant_method": "mxfp4"}}"#;
    let read = mixture(Folder::new(config, &tensors).model()).unwrap();
    assert!(matches!(read.w_gate, HostWeight::Blocks { block: Block::MXFP4, .. }));
    // The definition (OCP Microscaling Formats 1.0) on the bytes as they were given.
    let e2m1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let value = |expert: usize, row: usize, col: usize| {
        let block = expert * 64 + row;
        let code = tensors[2].1.bytes[block * 16 + col / 2] >> (col % 2 * 4) & 15;
        let sign = if code >= 8 { -1.0 } else { 1.0 };
        sign * e2m1[usize::from(code & 7)] * 2_f32.powi(i32::from(scales.bytes[block]) - 127)
    };
    let (gate, up) = (read.w_gate.to_f32(), read.w_up.to_f32());
    for (expert, row, col) in (0..2).flat_map(|e| (0..32).flat_map(move |r| (0..32).map(move |c| (e, r, c)))) {
        let at = (expert * 32 + row) * 32 + col;
        assert_eq!((gate[at], up[at]), (value(expert, 2 * row, col), value(expert, 2 * row + 1, col)), "{expert} {row} {col}");
    }
    assert_eq!(read.b_gate.unwrap().to_f32()[..3], [0.0, 2.0, 4.0]);

    let mut short = tensors.clone();
    short[3].1 = Raw::zeros(Dtype::U8, &[2, 63, 1]);
    let error = mixture(Folder::new(config, &short).model()).unwrap_err().to_string();
    assert!(error.contains("[2, 63, 1]") && error.contains("[2, 64, 1]"), "{error}");
}

/// Two experts of 2 x 32 in Q8_0, whose bytes count up.
fn gguf(architecture: &str) -> Builder {
    let bytes = |first: u8| (0..4).flat_map(|row| [&[0_u8, 0x3c][..], &[first + row; 32]].concat()).collect::<Vec<_>>();
    let file = Builder::new().pair("general.architecture", 8, &string(architecture));
    file.pair(&format!("{architecture}.expert_count"), 4, &2_u32.to_le_bytes())
        .pair(&format!("{architecture}.expert_used_count"), 4, &1_u32.to_le_bytes())
        .counting("blk.0.ffn_gate_inp.weight", &[2, 32], 0.0)
        .tensor("blk.0.ffn_gate_exps.weight", &[2, 2, 32], 8, &bytes(10))
        .tensor("blk.0.ffn_up_exps.weight", &[2, 2, 32], 8, &bytes(20))
        .counting("blk.0.ffn_down_exps.weight", &[2, 32, 2], 0.0)
}

fn opened(file: &Builder) -> Result<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, file.build()).unwrap();
    Model::open(path)
}

#[test]
fn gguf_stacks_experts() {
    let read = mixture(opened(&gguf("llama"))).unwrap();
    assert!(matches!(read.w_up, HostWeight::Blocks { block: Block::Q8_0, .. }));
    assert_eq!((read.w_up.shape(), read.w_up.to_f32()[64]), (&[2, 2, 32][..], 22.0));
    assert_eq!((read.routing, read.activation.as_deref()), (Routing::softmax(1), Some("silu")));

    let biased = gguf("gpt-oss")
        .counting("blk.0.ffn_gate_inp.bias", &[2], 0.0)
        .counting("blk.0.ffn_gate_exps.bias", &[2, 2], 0.0)
        .counting("blk.0.ffn_up_exps.bias", &[2, 2], 0.0)
        .counting("blk.0.ffn_down_exps.bias", &[2, 32], 0.0);
    let read = mixture(opened(&biased)).unwrap();
    assert_eq!((read.activation.as_deref(), read.b_down.unwrap().shape), (Some("swiglu_oai"), vec![2, 32]));

    let shared =
        ["gate", "up"].iter().fold(gguf("qwen2moe"), |file, role| file.counting(&format!("blk.0.ffn_{role}_shexp.weight"), &[5, 32], 0.0));
    let shared = shared.counting("blk.0.ffn_down_shexp.weight", &[32, 5], 0.0).counting("blk.0.ffn_gate_inp_shexp.weight", &[32], 3.0);
    let read = mixture(opened(&shared)).unwrap();
    assert_eq!((read.shared.unwrap().d_ff(), read.shared_gate.unwrap().shape, read.routing.normalise), (5, vec![1, 32], false));
}

#[test]
fn deepseeks_router_is_read() {
    let file = gguf("deepseek2")
        .pair("deepseek2.expert_gating_func", 4, &2_u32.to_le_bytes())
        .pair("deepseek2.expert_weights_norm", 7, &[1])
        .pair("deepseek2.expert_weights_scale", 6, &2.5_f32.to_le_bytes())
        .counting("blk.0.exp_probs_b.bias", &[2], 4.0);
    let read = mixture(opened(&file)).unwrap();
    assert_eq!(read.routing, Routing { scoring: Scoring::Sigmoid, top_k: 1, normalise: true, scale: 2.5 });
    assert_eq!(read.choice_bias.unwrap().to_f32(), [4.0, 5.0]);
    let groups = |file: Builder, used: u32| {
        file.pair("deepseek2.expert_group_count", 4, &8_u32.to_le_bytes()).pair("deepseek2.expert_group_used_count", 4, &used.to_le_bytes())
    };
    let error = mixture(opened(&groups(gguf("deepseek2"), 4))).unwrap_err().to_string();
    assert!(error.contains("expert_group_used_count\" is 4; all 8 groups"), "{error}");
    assert!(mixture(opened(&groups(gguf("deepseek2"), 8))).is_ok());
    let unknown = gguf("deepseek2").pair("deepseek2.expert_gating_func", 4, &9_u32.to_le_bytes());
    assert!(matches!(opened(&unknown), Err(WeightsError::Setting { found, .. }) if found == "9"));
}

#[test]
fn what_a_router_does_is_not_guessed() {
    let error = mixture(opened(&gguf("unheard-of"))).unwrap_err().to_string();
    assert!(error.contains("normalised: not said") && error.contains("expert_weights_norm"), "{error}");
    let (weights, _) = reference("mixtral", "block_sparse_moe");
    for (config, wanted) in [
        ("{}", "num_experts_per_tok"),
        (r#"{"num_experts_per_tok": 2}"#, "norm_topk_prob"),
        (r#"{"num_experts_per_tok": 0, "norm_topk_prob": true}"#, "\"num_experts_per_tok\" is 0"),
        (r#"{"num_experts_per_tok": 9, "norm_topk_prob": true}"#, "\"num_experts_per_tok\" is 9"),
        (r#"{"num_experts_per_tok": 2, "norm_topk_prob": true, "num_experts": 4, "scoring_func": "tanh"}"#, "\"scoring_func\" is tanh"),
    ] {
        let error = mixture(Folder::new(config, &weights).model()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{config}: {error}");
    }
    let said = r#"{"num_experts_per_tok": 2, "norm_topk_prob": true}"#;
    assert_eq!(mixture(Folder::new(said, &weights).model()).unwrap().routing, Routing::softmax(2));
}

#[test]
fn quantised_experts_share_an_order() {
    let matrix = |expert: &str, role: &str, [inputs, outputs]: [usize; 2], groups: &[u8]| {
        let name = |kind| format!("model.layers.0.mlp.experts.{expert}.{role}_proj.{kind}");
        let g_idx = groups.iter().flat_map(|g| i32::from(*g).to_le_bytes()).collect();
        let mut codes = Raw::zeros(Dtype::I32, &[inputs / 8, outputs]);
        codes.bytes.fill(if expert == "0" { 0x21 } else { 0x43 });
        [
            (name("qweight"), codes),
            (name("qzeros"), Raw::zeros(Dtype::I32, &[inputs / 4, outputs / 8])),
            (name("scales"), Raw::counting(&[inputs / 4, outputs], 1.0)),
            (name("g_idx"), Raw { kind: Dtype::I32, shape: vec![inputs], bytes: g_idx }),
        ]
    };
    let config = r#"{"model_type": "qwen3_moe", "num_experts_per_tok": 1,
        "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 4}}"#;
    let tensors = |other: &[u8]| {
        let plain = [0, 0, 0, 0, 1, 1, 1, 1];
        let mut tensors = vec![("model.layers.0.mlp.gate.weight".to_owned(), Raw::counting(&[2, 8], 0.0))];
        for (expert, groups) in [("0", &plain[..]), ("1", other)] {
            tensors.extend(matrix(expert, "gate", [8, 8], groups));
            tensors.extend(matrix(expert, "up", [8, 8], &plain));
            tensors.extend(matrix(expert, "down", [8, 8], &plain));
        }
        Folder::new(config, &tensors)
    };
    let read = mixture(tensors(&[0, 0, 0, 0, 1, 1, 1, 1]).model()).unwrap();
    let HostWeight::Int4(int4) = &read.w_gate else { panic!() };
    assert!(int4.shape == [16, 8] && int4.is_consistent());
    assert_eq!((int4.code(0, 0), int4.code(0, 1), int4.code(8, 0), int4.code(8, 1)), (1, 2, 3, 4));
    let error = mixture(tensors(&[1, 0, 0, 0, 0, 1, 1, 1]).model()).unwrap_err();
    assert!(matches!(error, WeightsError::Unlike { ref difference, .. } if difference.one.contains("experts.1.gate_proj")), "{error}");
}
