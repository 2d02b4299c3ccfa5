//! The families of names, one table each.

use super::operand::Form::{self, Ggml, Linear, Parameter, Whole};
use super::operand::Part::{self, Experts, Network, Shared};
use super::operand::Piece::{Bias, Weight};
use super::operand::Role::{self, ChoiceBias, Down, Gate, GateUp, Router, SharedGate, Up};
use super::{Operand, Scheme, Stack};

const fn operand(part: Part, role: Role, module: &'static str, form: Form) -> Operand {
    Operand { part, role, module, form }
}

/// Llama's names; experts as Qwen-MoE, DeepSeek and gpt-oss have them, one by one or (since transformers 5) in one tensor.
const HUGGING_FACE: &[Operand] = &[
    operand(Network, Gate, "mlp.gate_proj", Linear),
    operand(Network, Up, "mlp.up_proj", Linear),
    operand(Network, Down, "mlp.down_proj", Linear),
    operand(Network, GateUp, "mlp.gate_up_proj", Linear),
    operand(Experts, Router, "mlp.gate", Linear),
    operand(Experts, Router, "mlp.router", Linear),
    operand(Experts, ChoiceBias, "mlp.gate.e_score_correction_bias", Whole(Weight)),
    operand(Experts, Gate, "mlp.experts.*.gate_proj", Linear),
    operand(Experts, Up, "mlp.experts.*.up_proj", Linear),
    operand(Experts, Down, "mlp.experts.*.down_proj", Linear),
    operand(Experts, GateUp, "mlp.experts.gate_up_proj", Parameter),
    operand(Experts, Down, "mlp.experts.down_proj", Parameter),
    operand(Shared, Gate, "mlp.shared_expert.gate_proj", Linear),
    operand(Shared, Up, "mlp.shared_expert.up_proj", Linear),
    operand(Shared, Down, "mlp.shared_expert.down_proj", Linear),
    operand(Shared, Gate, "mlp.shared_experts.gate_proj", Linear),
    operand(Shared, Up, "mlp.shared_experts.up_proj", Linear),
    operand(Shared, Down, "mlp.shared_experts.down_proj", Linear),
    operand(Shared, SharedGate, "mlp.shared_expert_gate", Linear),
];

const MIXTRAL: &[Operand] = &[
    operand(Experts, Router, "block_sparse_moe.gate", Linear),
    operand(Experts, Gate, "block_sparse_moe.experts.*.w1", Linear),
    operand(Experts, Up, "block_sparse_moe.experts.*.w3", Linear),
    operand(Experts, Down, "block_sparse_moe.experts.*.w2", Linear),
    operand(Experts, GateUp, "block_sparse_moe.experts.gate_up_proj", Parameter),
    operand(Experts, Down, "block_sparse_moe.experts.down_proj", Parameter),
];

const GGUF: &[Operand] = &[
    operand(Network, Gate, "ffn_gate", Ggml),
    operand(Network, Up, "ffn_up", Ggml),
    operand(Network, Down, "ffn_down", Ggml),
    operand(Experts, Router, "ffn_gate_inp", Ggml),
    operand(Experts, ChoiceBias, "exp_probs_b.bias", Whole(Weight)),
    operand(Experts, Gate, "ffn_gate_exps", Ggml),
    operand(Experts, Up, "ffn_up_exps", Ggml),
    operand(Experts, Down, "ffn_down_exps", Ggml),
    operand(Experts, GateUp, "ffn_gate_up_exps", Ggml),
    operand(Shared, Gate, "ffn_gate_shexp", Ggml),
    operand(Shared, Up, "ffn_up_shexp", Ggml),
    operand(Shared, Down, "ffn_down_shexp", Ggml),
    operand(Shared, SharedGate, "ffn_gate_inp_shexp", Ggml),
];

const fn stack(layers: &'static str, operands: &'static [Operand], modules: &'static [&'static str]) -> Stack {
    Stack { layers: Some(layers), operands, modules, beside: &[] }
}

const fn single(operands: &'static [Operand], modules: &'static [&'static str]) -> Stack {
    Stack { layers: None, operands, modules, beside: &[] }
}

const fn gguf(layers: &'static str) -> Stack {
    Stack { beside: &["ffn_norm."], ..stack(layers, GGUF, &["ffn_", "exp_probs_b."]) }
}

/// Every family. Prefixes in `usual` win over others, which a second model in the same file may have.
pub(super) const SCHEMES: &[Scheme] = &[
    Scheme {
        title: "w1 b1 w2 b2",
        usual: &[],
        stacks: &[single(
            &[
                operand(Network, Up, "w1", Whole(Weight)),
                operand(Network, Up, "b1", Whole(Bias)),
                operand(Network, Down, "w2", Whole(Weight)),
                operand(Network, Down, "b2", Whole(Bias)),
            ],
            &[],
        )],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "w_gate b_gate w_up b_up w_down b_down",
        usual: &[],
        stacks: &[single(
            &[
                operand(Network, Gate, "w_gate", Whole(Weight)),
                operand(Network, Gate, "b_gate", Whole(Bias)),
                operand(Network, Up, "w_up", Whole(Weight)),
                operand(Network, Up, "b_up", Whole(Bias)),
                operand(Network, Down, "w_down", Whole(Weight)),
                operand(Network, Down, "b_down", Whole(Bias)),
            ],
            &[],
        )],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "blk.N.ffn_{gate,up,down}[_exps].weight (GGUF)",
        usual: &[""],
        stacks: &[gguf("blk")],
        up_may_hold_gate: true,
        transposed: false,
    },
    Scheme {
        title: "{enc,dec}.blk.N.ffn_{gate,up,down}.weight (GGUF, T5)",
        usual: &[""],
        stacks: &[gguf("enc.blk"), gguf("dec.blk")],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "model.layers.N.mlp.[experts.E.]{gate,up,down,gate_up}_proj.weight (Hugging Face, Llama and its kin)",
        usual: &["", "model.", "language_model.model.", "model.language_model."],
        stacks: &[stack("layers", HUGGING_FACE, &["mlp."])],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "model.layers.N.block_sparse_moe.experts.E.{w1,w2,w3}.weight (Mixtral)",
        usual: &["", "model."],
        stacks: &[stack("layers", MIXTRAL, &["block_sparse_moe."])],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "mlp.gate_proj.weight (one layer)",
        usual: &[],
        stacks: &[single(HUGGING_FACE, &["mlp."])],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "gate_proj.weight (one layer)",
        usual: &[],
        stacks: &[single(
            &[
                operand(Network, Gate, "gate_proj", Linear),
                operand(Network, Up, "up_proj", Linear),
                operand(Network, Down, "down_proj", Linear),
                operand(Network, GateUp, "gate_up_proj", Linear),
            ],
            &["gate_proj.", "up_proj.", "down_proj.", "gate_up_proj."],
        )],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "encoder.layer.N.{intermediate,output}.dense.weight (BERT and its kin)",
        usual: &["", "bert."],
        stacks: &[stack(
            "encoder.layer",
            &[operand(Network, Up, "intermediate.dense", Linear), operand(Network, Down, "output.dense", Linear)],
            &["intermediate.dense.", "output.dense."],
        )],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "model.layers.N.mlp.{fc1,fc2}.weight (Phi)",
        usual: &["", "model."],
        stacks: &[stack("layers", &[operand(Network, Up, "mlp.fc1", Linear), operand(Network, Down, "mlp.fc2", Linear)], &["mlp."])],
        up_may_hold_gate: false,
        transposed: false,
    },
    Scheme {
        title: "h.N.mlp.{c_fc,c_proj}.weight (GPT-2, [in, out])",
        usual: &["", "transformer."],
        stacks: &[stack("h", &[operand(Network, Up, "mlp.c_fc", Linear), operand(Network, Down, "mlp.c_proj", Linear)], &["mlp."])],
        up_may_hold_gate: false,
        transposed: true,
    },
    Scheme {
        title: "{encoder,decoder}.block.N.layer.{1,2}.DenseReluDense.{wi,wi_0,wi_1,wo}.weight (T5)",
        usual: &[""],
        stacks: &[
            stack(
                "encoder.block",
                &[
                    operand(Network, Up, "layer.1.DenseReluDense.wi", Linear),
                    operand(Network, Gate, "layer.1.DenseReluDense.wi_0", Linear),
                    operand(Network, Up, "layer.1.DenseReluDense.wi_1", Linear),
                    operand(Network, Down, "layer.1.DenseReluDense.wo", Linear),
                ],
                &["layer.1.DenseReluDense."],
            ),
            stack(
                "decoder.block",
                &[
                    operand(Network, Up, "layer.2.DenseReluDense.wi", Linear),
                    operand(Network, Gate, "layer.2.DenseReluDense.wi_0", Linear),
                    operand(Network, Up, "layer.2.DenseReluDense.wi_1", Linear),
                    operand(Network, Down, "layer.2.DenseReluDense.wo", Linear),
                ],
                &["layer.2.DenseReluDense."],
            ),
        ],
        up_may_hold_gate: false,
        transposed: false,
    },
];
