//! A model from a path: a file of either format, or a Hugging Face directory.

use std::path::{Path, PathBuf};

use super::config::{Config, Said};
use super::error::{Result, WeightsError};
use super::feed_forward::FeedForwardWeights;
use super::layer::{Layer, LayerFacts, LayerWeights};
use super::open::{File, Folder, open_file, open_folder, read_json};
use super::schemes::{Survey, survey};
use super::source::{Shards, Source};
use super::tensors::Tensors;

/// Bytes beyond which a config is not read.
const LONGEST_CONFIG: u64 = 10_000_000;

/// A model whose headers are read: what its layers are, and each layer's weights when they are asked for.
///
/// Layers are numbered as the file numbers them; of a model with an encoder and a decoder (T5) the decoder's follow the
/// encoder's. One without feed-forward weights of a form that is read has no number.
#[derive(Debug)]
pub struct Model {
    source: Box<dyn Source>,
    config: Config,
    survey: Survey,
}

/// How far the reading of a model's layers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The layer that was read last.
    pub layer: usize,
    /// Layers read.
    pub done: usize,
    /// All layers.
    pub of: usize,
}

impl Model {
    /// Opens a GGUF or safetensors file (known by its first bytes, whatever it is called), or a directory with
    /// `model.safetensors` or `model.safetensors.index.json` and its shards, with `config.json`, which knows the activation and
    /// what else the tensors do not say, and for weights quantised by AutoGPTQ `quantize_config.json`.
    ///
    /// # Errors
    /// Any [`WeightsError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (source, config) = if path.is_dir() { of_folder(path)? } else { of_file(path)? };
        let survey = survey(source.file(), source.names())?;
        let model = Self { source, config, survey };
        model.check_layers().map(|()| model)
    }

    /// Holds the number of layers against the settings.
    fn check_layers(&self) -> Result<()> {
        let Config { layers, decoder_layers, extra_layers, .. } = &self.config;
        for (count, said) in self.survey.stacks.iter().zip([layers.as_ref(), decoder_layers.as_ref().or(layers.as_ref())]) {
            // One half of a model may be saved alone.
            let Some(Said { key, value }) = said.filter(|_| *count > 0) else { continue };
            let found = *count as u64;
            if found < *value || found > value.saturating_add(*extra_layers) {
                let last = self.survey.layers.values().next_back().map(|layer| layer.stem().to_owned());
                return Err(self.config.disagreement(key, value, &last.unwrap_or_default(), found));
            }
        }
        Ok(())
    }

    /// The file, or the index of the shards.
    pub fn file(&self) -> &Path {
        self.source.file()
    }

    /// What the model calls its architecture (`general.architecture`, `model_type`).
    pub fn architecture(&self) -> Option<&str> {
        self.config.name.as_deref()
    }

    /// The numbers of its layers, ascending.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.survey.layers.keys().copied()
    }

    /// What is known of a layer without reading its weights.
    ///
    /// # Errors
    /// [`WeightsError::MissingLayer`], and the others that say what does not fit.
    pub fn facts(&self, layer: usize) -> Result<LayerFacts> {
        Ok(self.find(layer)?.facts())
    }

    /// Reads a layer; nothing of it was in memory before.
    ///
    /// # Errors
    /// As [`Model::facts`], and [`WeightsError::Io`].
    pub fn layer(&self, layer: usize) -> Result<LayerWeights> {
        self.find(layer)?.read()
    }

    /// Reads a layer that is one network.
    ///
    /// # Errors
    /// As [`Model::layer`], and [`WeightsError::Mixture`].
    pub fn feed_forward(&self, layer: usize) -> Result<FeedForwardWeights> {
        let found = self.find(layer)?;
        if let Some(mixture) = found.facts().mixture {
            return Err(WeightsError::Mixture { file: self.file().to_owned(), layer, experts: mixture.experts });
        }
        found.read()?.into_feed_forward(self.file(), layer)
    }

    /// Reads every layer, one after the other: each is read when it is asked for, so memory holds what the caller keeps.
    pub fn read_layers(&self) -> impl ExactSizeIterator<Item = Result<(Progress, LayerWeights)>> + '_ {
        let of = self.layers().len();
        self.layers().enumerate().map(move |(i, layer)| Ok((Progress { layer, done: i + 1, of }, self.layer(layer)?)))
    }

    fn find(&self, layer: usize) -> Result<Layer<'_>> {
        Layer::find(self.source.as_ref(), &self.config, &self.survey, layer)
    }
}

/// Reads one network of a model: [`Model::open`] and [`Model::feed_forward`].
///
/// # Errors
/// Any [`WeightsError`].
pub fn load_feed_forward(path: &Path, layer: usize) -> Result<FeedForwardWeights> {
    Model::open(path)?.feed_forward(layer)
}

/// A file of either format.
fn of_file(path: &Path) -> Result<(Box<dyn Source>, Config)> {
    Ok(match open_file(path)? {
        File::Safetensors(tensors) => (Box::new(tensors), Config::default()),
        File::Gguf(gguf) => {
            let config = Config::from_gguf(&gguf)?;
            (Box::new(Tensors::from(gguf)), config)
        }
    })
}

/// A directory as Hugging Face has them.
fn of_folder(path: &Path) -> Result<(Box<dyn Source>, Config)> {
    let source: Box<dyn Source> = match open_folder(path)? {
        Folder::Whole(tensors) => Box::new(tensors),
        Folder::Sharded(index, shards) => Box::new(Shards::new(&index, shards)),
    };
    let file = path.join("config.json");
    if !file.exists() {
        return Ok((source, Config::default()));
    }
    let config = read_json(&file, "config", LONGEST_CONFIG)?;
    let quantisation: Option<(PathBuf, _)> = match path.join("quantize_config.json") {
        file if file.exists() => Some((file.clone(), read_json(&file, "quantisation config", LONGEST_CONFIG)?)),
        _ => None,
    };
    let config = Config::from_json(&file, &config, quantisation.as_ref().map(|(file, object)| (file.as_path(), object)))?;
    Ok((source, config))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Map, Value};

    use super::*;
    use crate::element::Element;
    use crate::weights::testing::Builder;
    use crate::weights::{HostTensor, write_safetensors};

    fn tensor(shape: &[usize]) -> HostTensor {
        HostTensor::new(shape, Element::Bf16, &vec![1.0; shape.iter().product()]).unwrap()
    }

    fn layer(n: usize) -> Vec<(String, HostTensor)> {
        let name = |role| format!("model.layers.{n}.mlp.{role}_proj.weight");
        vec![(name("gate"), tensor(&[3, 2])), (name("up"), tensor(&[3, 2])), (name("down"), tensor(&[2, 3]))]
    }

    #[test]
    fn the_first_bytes_decide() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.gguf");
        write_safetensors(&path, &layer(0)).unwrap();
        assert_eq!(load_feed_forward(&path, 0).unwrap().d_ff(), 3);
        let path = directory.path().join("w.safetensors");
        fs::write(&path, Builder::new().counting("w1", &[3, 2], 0.0).counting("w2", &[2, 3], 0.0).build()).unwrap();
        assert_eq!(load_feed_forward(&path, 0).unwrap().d_model(), 2);
        for (name, want) in [("w.bin", "neither"), ("w.gguf", "not GGUF"), ("x.safetensors", "claimed")] {
            let path = directory.path().join(name);
            fs::write(&path, b"PK\x03\x04 a zip of pickles").unwrap();
            let error = load_feed_forward(&path, 0).unwrap_err().to_string();
            assert!(error.contains(want) && error.contains(name), "{error}");
        }
        fs::write(directory.path().join("empty"), b"").unwrap();
        assert!(matches!(load_feed_forward(&directory.path().join("empty"), 0), Err(WeightsError::UnknownFormat { .. })));
        assert!(matches!(load_feed_forward(&directory.path().join("none"), 0), Err(WeightsError::Io { .. })));
    }

    #[test]
    fn a_directory_knows_its_activation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(matches!(load_feed_forward(path, 0), Err(WeightsError::NoModel { .. })));
        write_safetensors(path.join("model.safetensors"), &layer(0)).unwrap();
        for (config, want) in [
            (r#"{"hidden_act": "silu"}"#, Some("silu")),
            (r#"{"activation_function": "gelu_new"}"#, Some("gelu_new")),
            (r#"{"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}"#, Some("gelu_pytorch_tanh")),
            (r#"{"hidden_act": "gelu", "hidden_activation": null}"#, Some("gelu")),
            (r#"{"text_config": {"hidden_act": "relu2"}}"#, Some("relu2")),
            ("{}", None),
        ] {
            fs::write(path.join("config.json"), config).unwrap();
            assert_eq!(load_feed_forward(path, 0).unwrap().activation(), want, "{config}");
        }
        for config in [r#"{"hidden_act": ["silu"]}"#, "[]", "{", ""] {
            fs::write(path.join("config.json"), config).unwrap();
            assert!(matches!(load_feed_forward(path, 0), Err(WeightsError::Json { .. })), "{config}");
        }
        fs::remove_file(path.join("config.json")).unwrap();
        assert_eq!(load_feed_forward(path, 0).unwrap().activation(), None);
    }

    #[test]
    fn only_the_shards_of_the_layer_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut first = layer(1);
        let second = first.split_off(2);
        write_safetensors(path.join("a.safetensors"), &first).unwrap();
        write_safetensors(path.join("b.safetensors"), &second).unwrap();
        let index = |shards: [&str; 3]| {
            let names = layer(1).into_iter().chain(layer(2)).map(|(name, _)| name);
            let files = shards.into_iter().chain(["missing.safetensors"; 3]);
            let map: Map<String, Value> = names.zip(files.map(Value::from)).collect();
            fs::write(path.join("model.safetensors.index.json"), serde_json::json!({ "weight_map": map }).to_string()).unwrap();
        };
        index(["a.safetensors", "a.safetensors", "b.safetensors"]);
        assert_eq!(load_feed_forward(path, 1).unwrap().d_ff(), 3);
        assert!(matches!(load_feed_forward(path, 2), Err(WeightsError::Io { file, .. }) if file.ends_with("missing.safetensors")));
        assert!(matches!(load_feed_forward(path, 0), Err(WeightsError::MissingLayer { layers, .. }) if layers == [1, 2]));
        index(["a.safetensors", "b.safetensors", "b.safetensors"]);
        assert!(matches!(load_feed_forward(path, 1), Err(WeightsError::MissingTensor { file, .. }) if file.ends_with("b.safetensors")));
        for shard in ["../a.safetensors", "/etc/passwd", "x/a.safetensors", "", ".."] {
            index([shard, "a.safetensors", "b.safetensors"]);
            assert!(matches!(load_feed_forward(path, 1), Err(WeightsError::ShardName { .. })), "{shard}");
        }
        fs::write(path.join("model.safetensors.index.json"), r#"{"weight_map": 3}"#).unwrap();
        assert!(matches!(load_feed_forward(path, 1), Err(WeightsError::Json { .. })));
    }
}
