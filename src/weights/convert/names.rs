//! Which names are those of a feed-forward layer's matrices.

/// ggml's, of which experts have a suffix.
const GGML: [&str; 4] = ["ffn_gate", "ffn_up", "ffn_down", "ffn_gate_up"];
const EXPERTS: [&str; 4] = ["", "_exps", "_shexp", "_chexps"];
/// Names that are a feed-forward layer's wherever they stand.
const ANYWHERE: [&str; 11] =
    ["gate_proj", "up_proj", "down_proj", "gate_up_proj", "w_gate", "w_up", "w_down", "fc1", "fc2", "dense_h_to_4h", "dense_4h_to_h"];
/// Names that are one where another stands before them, or nothing does.
const AFTER: [(&[&str], &[&str]); 3] = [
    (&["w1", "w2", "w3"], &["", "mlp", "feed_forward", "experts", "shared_experts"]),
    (&["wi", "wi_0", "wi_1", "wo"], &["DenseReluDense"]),
    (&["dense"], &["intermediate", "output"]),
];

/// Whether a tensor of this name is gate, up or down.
pub(super) fn is_feed_forward(name: &str) -> bool {
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    // Experts of their own have a number: `experts.3.w1`, `ffn_gate.3`.
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty();
    let parts: Vec<&str> = stem.split('.').filter(|part| !is_number(part)).collect();
    let Some((last, before)) = parts.split_last() else { return false };
    let previous = before.last().copied().unwrap_or("");
    let ggml = GGML.iter().any(|known| last.strip_prefix(known).is_some_and(|suffix| EXPERTS.contains(&suffix)));
    let after = AFTER.iter().any(|(lasts, previouses)| lasts.contains(last) && previouses.contains(&previous));
    // BERT's attention has an `output.dense` of its own.
    let attention = previous == "output" && before.iter().rev().nth(1) == Some(&"attention");
    ggml || ANYWHERE.contains(last) || after && !attention
}

/// Whether a tensor of this name holds all experts' gate and up, or down, as Hugging Face fuses them.
pub(super) fn is_fused_experts(name: &str) -> bool {
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    stem.ends_with("experts.gate_up_proj") || stem.ends_with("experts.down_proj")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_experts_are_known() {
        assert!(is_fused_experts("model.layers.0.mlp.experts.gate_up_proj"));
        assert!(!is_fused_experts("model.layers.0.mlp.experts.3.down_proj.weight"));
    }

    #[test]
    fn gate_up_and_down_are_known_from_the_rest() {
        for name in [
            "blk.0.ffn_gate.weight",
            "blk.11.ffn_down_exps.weight",
            "blk.11.ffn_up_shexp.weight",
            "blk.3.ffn_gate.7.weight",
            "model.layers.2.mlp.gate_up_proj.weight",
            "model.layers.2.mlp.experts.31.down_proj.weight",
            "model.layers.2.block_sparse_moe.experts.31.w3.weight",
            "bert.encoder.layer.3.intermediate.dense.weight",
            "encoder.layer.3.output.dense.weight",
            "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
            "w1",
            "w_down",
        ] {
            assert!(is_feed_forward(name), "{name}");
        }
        for name in [
            "token_embd.weight",
            "blk.0.attn_q.weight",
            "blk.0.ffn_norm.weight",
            "blk.0.ffn_gate_inp.weight",
            "model.layers.2.self_attn.o_proj.weight",
            "model.layers.2.mlp.gate.weight",
            "bert.encoder.layer.3.attention.output.dense.weight",
            "bert.pooler.dense.weight",
            "encoder.block.0.layer.0.SelfAttention.wo.weight",
            "",
        ] {
            assert!(!is_feed_forward(name), "{name}");
        }
    }
}
