//! What is known of a model by its architecture's name: Hugging Face's `model_type`, or GGUF's `general.architecture`.
//!
//! GGUF does not store the activation: llama.cpp's graphs (`src/models/*.cpp`, the `LLM_FFN_*` given to `build_ffn` and
//! `build_moe_ffn`) have it. Its `LLM_FFN_GELU` is the tanh form (ggml's `ggml_gelu`) and stands for the erf form too; where the
//! model was trained with that (BERT, Falcon, GPT-NeoX), it is that here.

use crate::routing::Scoring;

/// One architecture, or several that are alike in this.
#[derive(Debug)]
pub(super) struct Architecture {
    names: &'static [&'static str],
    /// The activation of gated layers and of others, where there are such.
    pub gated: Option<&'static str>,
    pub dense: Option<&'static str>,
    /// Whether the settings' own activation is that of something else.
    pub overrides: bool,
    pub mixture: Option<Mixture>,
}

/// What its mixtures do where the settings do not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mixture {
    pub scoring: Scoring,
    pub normalise: bool,
    /// Whether the settings cannot change that, whatever they hold.
    pub always: bool,
    /// Whether experts are as wide as the settings say a layer is.
    pub full_width: bool,
    /// gpt-oss: gate and up alternate, and weights without a module are `[in, out]`.
    pub interleaved: bool,
}

const SOFTMAX: Mixture = Mixture { scoring: Scoring::Softmax, normalise: true, always: true, full_width: false, interleaved: false };
const UNNORMALISED: Mixture = Mixture { normalise: false, always: false, ..SOFTMAX };
const SIGMOID: Mixture = Mixture { scoring: Scoring::Sigmoid, always: false, ..SOFTMAX };

const fn gated(names: &'static [&'static str], activation: &'static str) -> Architecture {
    Architecture { names, gated: Some(activation), dense: None, overrides: false, mixture: None }
}

const fn dense(names: &'static [&'static str], activation: &'static str) -> Architecture {
    Architecture { names, gated: None, dense: Some(activation), overrides: false, mixture: None }
}

const fn mixture(names: &'static [&'static str], mixture: Mixture) -> Architecture {
    Architecture { mixture: Some(mixture), ..gated(names, "silu") }
}

const ARCHITECTURES: &[Architecture] = &[
    gated(&["mistral", "qwen2", "qwen2vl", "qwen2_vl", "qwen3", "qwen3vl", "phi3", "granite", "internlm2", "olmo", "olmo2"], "silu"),
    gated(&["smollm3", "stablelm", "minicpm", "exaone", "command-r", "cohere", "cohere2", "chatglm", "glm4", "nomic-bert"], "silu"),
    // In GGUF Mixtral is a llama.
    mixture(&["llama", "mixtral"], Mixture { full_width: true, ..SOFTMAX }),
    mixture(&["qwen2_moe", "qwen2moe", "qwen3_moe", "deepseek", "deepseek_v2", "deepseek2"], UNNORMALISED),
    mixture(&["olmoe"], Mixture { full_width: true, ..UNNORMALISED }),
    mixture(&["qwen3moe"], SOFTMAX),
    mixture(&["deepseek_v3", "glm4_moe", "glm4moe"], SIGMOID),
    Architecture {
        // Its config says silu.
        overrides: true,
        mixture: Some(Mixture { full_width: true, interleaved: true, ..SOFTMAX }),
        ..gated(&["gpt_oss", "gpt-oss"], "swiglu_oai")
    },
    // Of the first Gemma, `hidden_act` is "gelu" and means the tanh form; the later ones have `hidden_activation`.
    Architecture { overrides: true, ..gated(&["gemma"], "gelu_tanh") },
    gated(&["gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gemma-embedding"], "gelu_tanh"),
    gated(&["jina-bert-v2", "modernbert", "modern-bert"], "gelu"),
    dense(&["bert", "roberta", "xlm-roberta", "falcon", "gpt_neox", "gptneox", "mpt"], "gelu"),
    dense(&["gpt2", "phi", "phi2", "bloom", "starcoder", "starcoder2", "codeshell", "gptj"], "gelu_tanh"),
    dense(&["nemotron", "arcee", "plm"], "relu_squared"),
    Architecture { dense: Some("relu"), ..gated(&["t5", "t5encoder", "mt5", "umt5"], "gelu_tanh") },
];

/// The architecture of a name.
pub(super) fn find(name: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| architecture.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;

    #[test]
    fn every_activation_is_one_of_ours() {
        for Architecture { names, gated, dense, .. } in ARCHITECTURES {
            assert!([gated, dense].into_iter().flatten().all(|name| Gate::parse(name).is_ok()), "{names:?}");
        }
    }

    #[test]
    fn no_name_comes_twice() {
        let mut names: Vec<_> = ARCHITECTURES.iter().flat_map(|architecture| architecture.names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
