//! What a model says of itself: `config.json`, or GGUF's metadata. The keys are both formats' together; none means two things.

mod architectures;
mod quantisation;
mod settings;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use self::architectures::Architecture;
pub(super) use self::settings::Said;
use self::settings::Settings;
use super::error::{Difference, Result, WeightsError};
use super::gguf::{Gguf, Value};
use super::int4::Grouping;
use crate::routing::{Routing, Scoring};

/// Gemma's configs have the first two, and mean the first.
const ACTIVATION: [&str; 6] = ["hidden_activation", "hidden_act", "activation_function", "dense_act_fn", "feed_forward_proj", "activation"];
const PER_TOKEN: [&str; 2] = ["num_experts_per_tok", "expert_used_count"];
const NORMALISE: [&str; 2] = ["norm_topk_prob", "expert_weights_norm"];
const SCORING: [&str; 2] = ["scoring_func", "expert_gating_func"];

/// A model's settings; what is not said is absent.
#[derive(Debug, Default)]
pub(super) struct Config {
    file: PathBuf,
    /// The architecture's name.
    pub name: Option<String>,
    known: Option<&'static Architecture>,
    activation: Option<String>,
    /// T5's `feed_forward_proj` says it.
    pub gated: Option<Said<bool>>,
    pub layers: Option<Said<u64>>,
    pub decoder_layers: Option<Said<u64>>,
    /// Layers beyond `layers`, that predict more tokens.
    pub extra_layers: u64,
    pub d_model: Option<Said<u64>>,
    d_ff: Option<Said<Vec<u64>>>,
    pub biases: Option<Said<bool>>,
    pub experts: Option<Said<u64>>,
    pub per_token: Option<Said<u64>>,
    normalise: Option<Said<bool>>,
    scale: Option<Said<f64>>,
    scoring: Option<Scoring>,
    expert_d_ff: Option<Said<u64>>,
    shared_d_ff: Option<Said<u64>>,
    sparse: Sparse,
    pub int4: Option<Grouping>,
}

/// Which layers are mixtures.
#[derive(Debug, Default)]
struct Sparse {
    step: Option<Said<u64>>,
    dense: Option<Said<Vec<u64>>>,
    first: Option<Said<u64>>,
}

impl Config {
    /// What a GGUF file's metadata says.
    pub fn from_gguf(file: &Gguf) -> Result<Self> {
        let key = "general.architecture";
        let name = match file.value(key) {
            Some(Value::String(name)) => name.as_str(),
            None => return Ok(Self { file: file.tensors().file().to_owned(), ..Self::default() }),
            Some(_) => {
                let (file, key, wrong) = (file.tensors().file().to_owned(), key.to_owned(), "is not a string".to_owned());
                return Err(WeightsError::Metadata { file, key, wrong });
            }
        };
        Self::read(&Settings::Gguf { file, architecture: name }, Some(name.to_owned()))
    }

    /// What a `config.json` says; `quantisation` is what a file of its own says of it.
    pub fn from_json(file: &Path, config: &Map<String, Json>, quantisation: Option<(&Path, &Map<String, Json>)>) -> Result<Self> {
        // Models that see have their language model's settings one level down.
        let inner = config.get("text_config").and_then(Json::as_object);
        let settings = Settings::Json { file, what: "config", objects: inner.into_iter().chain([config]).collect() };
        let name = settings.text(&["model_type"])?.map(|said| said.value);
        let mut read = Self::read(&settings, name)?;
        let within = [Some(config), inner].into_iter().flatten().find_map(|object| object.get("quantization_config")?.as_object());
        if let Some((file, object)) = within.map(|object| (file, object)).or(quantisation) {
            read.int4 = quantisation::read(&Settings::Json { file, what: "quantisation config", objects: vec![object] })?;
        }
        Ok(read)
    }

    fn read(settings: &Settings, name: Option<String>) -> Result<Self> {
        let known = name.as_deref().and_then(architectures::find);
        let expert_d_ff = settings.number(&["moe_intermediate_size", "expert_feed_forward_length"])?;
        let sparse = Sparse {
            step: settings.number(&["decoder_sparse_step"])?,
            dense: settings.numbers(&["mlp_only_layers"])?,
            first: settings.number(&["first_k_dense_replace", "leading_dense_block_count"])?,
        };
        let (activation, gated) = activation(settings)?;
        let config = Self {
            file: settings.file().to_owned(),
            known,
            activation,
            gated,
            layers: settings.number(&["num_hidden_layers", "n_layer", "num_layers", "block_count"])?,
            decoder_layers: settings.number(&["num_decoder_layers", "decoder_block_count"])?,
            extra_layers: settings.number(&["num_nextn_predict_layers"])?.map_or(0, |said| said.value),
            d_model: settings.number(&["hidden_size", "n_embd", "d_model", "embedding_length"])?,
            d_ff: settings.numbers(&["intermediate_size", "n_inner", "ffn_dim", "d_ff", "feed_forward_length"])?,
            biases: settings.flag(&["mlp_bias"])?,
            experts: settings.number(&["num_local_experts", "num_experts", "n_routed_experts", "expert_count"])?,
            per_token: settings.number(&PER_TOKEN)?,
            normalise: settings.flag(&NORMALISE)?,
            scale: settings.real(&["routed_scaling_factor", "expert_weights_scale"])?,
            scoring: scoring(settings)?,
            shared_d_ff: shared_d_ff(settings, expert_d_ff.as_ref())?,
            expert_d_ff,
            sparse,
            int4: None,
            name,
        };
        config.nothing_else(settings).map(|()| config)
    }

    /// Refuses settings that change what a mixture computes and have no place in [`Routing`].
    fn nothing_else(&self, settings: &Settings) -> Result<()> {
        if self.experts.as_ref().is_none_or(|said| said.value == 0) {
            return Ok(());
        }
        let groups = settings.number(&["n_group", "expert_group_count"])?;
        let used = settings.number(&["topk_group", "expert_group_used_count"])?;
        let greedy = settings.text(&["topk_method"])?.is_some_and(|said| said.value == "greedy");
        if let Some((groups, used)) = groups.zip(used).filter(|(groups, used)| !greedy && used.value < groups.value) {
            return Err(self.refused(used, format!("all {} groups of experts", groups.value)));
        }
        if let Some(limit) = settings.real(&["swiglu_limit"])?.filter(|said| said.value != 7.0) {
            return Err(self.refused(limit, "7, gpt-oss's,".into()));
        }
        match settings.real(&["router_logit_softcapping"])? {
            Some(cap) => Err(self.refused(cap, "a router without a cap".into())),
            None => Ok(()),
        }
    }

    fn refused<T: ToString>(&self, said: Said<T>, expected: String) -> WeightsError {
        WeightsError::Setting { file: self.file.clone(), key: said.key, found: said.value.to_string(), expected }
    }

    /// The file that says all this.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The error for a setting and a tensor that say different things.
    pub fn disagreement(&self, key: &str, said: impl ToString, tensor: &str, found: impl ToString) -> WeightsError {
        let (one, other) = (key.to_owned(), tensor.to_owned());
        let difference = Difference { one, says: said.to_string(), other, found: found.to_string() };
        WeightsError::Disagreement { file: self.file.clone(), difference: Box::new(difference) }
    }

    /// The activation of a layer.
    pub fn activation(&self, gated: bool) -> Option<String> {
        let known = self.known.and_then(|known| if gated { known.gated } else { known.dense }).map(str::to_owned);
        match self.known {
            Some(architecture) if architecture.overrides => known.or_else(|| self.activation.clone()),
            _ => self.activation.clone().or(known),
        }
    }

    /// The width of a layer that is no mixture.
    pub fn d_ff(&self, layer: usize) -> Option<Said<u64>> {
        let Said { key, value } = self.d_ff.as_ref()?;
        let value = if value.len() == 1 { value.first() } else { value.get(layer) };
        Some(Said { key: key.clone(), value: *value? })
    }

    /// The width of an expert.
    pub fn expert_d_ff(&self, layer: usize) -> Option<Said<u64>> {
        let full_width = self.known.and_then(|known| known.mixture).is_some_and(|mixture| mixture.full_width);
        self.expert_d_ff.clone().or_else(|| self.d_ff(layer).filter(|_| full_width))
    }

    /// The width of the shared expert.
    pub fn shared_d_ff(&self) -> Option<Said<u64>> {
        self.shared_d_ff.clone()
    }

    /// Whether experts are as gpt-oss has them.
    pub fn interleaved(&self) -> bool {
        self.known.and_then(|known| known.mixture).is_some_and(|mixture| mixture.interleaved)
    }

    /// Whether a layer is a mixture, where the settings say it, and which of them does.
    pub fn is_mixture(&self, layer: usize) -> Option<Said<bool>> {
        self.experts.as_ref().filter(|said| said.value > 0)?;
        let layer = u64::try_from(layer).ok()?;
        let Sparse { step, dense, first } = &self.sparse;
        let said = |key: &str, value| Some(Said { key: key.to_owned(), value });
        match (dense, first, step) {
            (Some(dense), ..) if dense.value.contains(&layer) => said(&dense.key, false),
            (_, Some(first), _) if layer < first.value => said(&first.key, false),
            (.., Some(step)) => said(&step.key, step.value > 0 && layer.saturating_add(1).is_multiple_of(step.value)),
            (_, Some(first), _) => said(&first.key, true),
            (Some(dense), ..) => said(&dense.key, true),
            (None, None, None) => None,
        }
    }

    /// How experts are chosen; `choice_bias` tells whether there is such a tensor.
    pub fn routing(&self, choice_bias: bool) -> Result<Routing> {
        let unsaid = |what, keys: &[&str]| WeightsError::Unsaid {
            file: self.file.clone(),
            what,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        let known = self.known.and_then(|known| known.mixture);
        let per_token = self.per_token.as_ref().ok_or_else(|| unsaid("how many experts a token has", &PER_TOKEN))?;
        let top_k = usize::try_from(per_token.value).ok().filter(|k| *k > 0);
        let top_k = top_k.ok_or_else(|| self.refused(per_token.clone(), "at least 1".into()))?;
        let said = self.normalise.as_ref().map(|said| said.value);
        let normalise = match known {
            Some(known) if known.always => known.normalise,
            _ => said
                .or(known.map(|known| known.normalise))
                .ok_or_else(|| unsaid("whether weights of experts are normalised", &NORMALISE))?,
        };
        let fallback = known.map(|known| known.scoring).or((!choice_bias).then_some(Scoring::Softmax));
        let scoring = self.scoring.or(fallback).ok_or_else(|| unsaid("what makes scores of a router's logits", &SCORING))?;
        // llama.cpp writes 0 for none.
        let scale = self.scale.as_ref().map_or(1.0, |said| said.value) as f32;
        Ok(Routing { scoring, top_k, normalise, scale: if scale == 0.0 { 1.0 } else { scale } })
    }
}

/// The activation's name, and whether the layer is gated, where the same setting says so (T5: transformers makes gelu_new of
/// "gated-gelu").
fn activation(settings: &Settings) -> Result<(Option<String>, Option<Said<bool>>)> {
    let projection = settings.text(&["feed_forward_proj"])?;
    let gated = projection.map(|said| Said { key: said.key, value: said.value.starts_with("gated-") });
    let name = settings.text(&ACTIVATION)?.map(|said| match said.value.strip_prefix("gated-") {
        Some("gelu") => "gelu_new".to_owned(),
        Some(name) => name.to_owned(),
        None => said.value,
    });
    Ok((name, gated))
}

/// As a word, or as llama.cpp's number; its 3 is the softmax of the chosen logits, which is the normalised one of all.
fn scoring(settings: &Settings) -> Result<Option<Scoring>> {
    let [word, number] = SCORING;
    let (said, scoring) = if let Some(said) = settings.text(&[word])? {
        let scoring = match said.value.as_str() {
            "softmax" => Some(Scoring::Softmax),
            "sigmoid" => Some(Scoring::Sigmoid),
            _ => None,
        };
        (said, scoring)
    } else if let Some(said) = settings.number(&[number])? {
        let scoring = match said.value {
            0 => return Ok(None),
            1 | 3 => Some(Scoring::Softmax),
            2 => Some(Scoring::Sigmoid),
            _ => None,
        };
        (Said { key: said.key, value: said.value.to_string() }, scoring)
    } else {
        return Ok(None);
    };
    let expected = "softmax or sigmoid (1, 2 and 3 in GGUF)".to_owned();
    let error = WeightsError::Setting { file: settings.file().to_owned(), key: said.key, found: said.value, expected };
    scoring.map(Some).ok_or(error)
}

/// Said as it is, or as a number of experts.
fn shared_d_ff(settings: &Settings, expert: Option<&Said<u64>>) -> Result<Option<Said<u64>>> {
    if let Some(said) = settings.number(&["shared_expert_intermediate_size", "expert_shared_feed_forward_length"])? {
        return Ok(Some(said));
    }
    let count = settings.number(&["n_shared_experts", "expert_shared_count"])?;
    Ok(count.zip(expert).map(|(count, each)| Said { key: count.key, value: count.value.saturating_mul(each.value) }))
}
