//! A network from a path: a file of either format, or a Hugging Face directory.

use std::io::Read as _;
use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::error::{Result, WeightsError};
use super::feed_forward::{FeedForwardWeights, assemble};
use super::gguf::{MAGIC, read_gguf};
use super::safetensors::read_safetensors;
use super::tensors::{Tensors, open};

/// JSON texts beyond this are not read; a shard index of a very large model has some tens of megabytes.
const LONGEST_JSON: u64 = 100_000_000;
/// Gemma's configs have the first two, and mean the first.
const ACTIVATION_KEYS: [&str; 3] = ["hidden_activation", "hidden_act", "activation_function"];

/// Reads layer `layer` of a GGUF or safetensors file (known by its first bytes, whatever it is called), or of a directory with
/// `model.safetensors`, or `model.safetensors.index.json` and its shards, and `config.json`, which knows the activation.
///
/// # Errors
/// Any [`WeightsError`].
pub fn load_feed_forward(path: &Path, layer: usize) -> Result<FeedForwardWeights> {
    if !path.is_dir() {
        return FeedForwardWeights::from_tensors(&read_file(path)?, layer);
    }
    let (whole, index) = (path.join("model.safetensors"), path.join("model.safetensors.index.json"));
    let weights = if whole.exists() {
        FeedForwardWeights::from_tensors(&read_safetensors(&whole)?, layer)?
    } else if index.exists() {
        from_shards(path, &index, layer)?
    } else {
        return Err(WeightsError::NoModel { dir: path.to_owned() });
    };
    Ok(weights.with_activation(configured_activation(&path.join("config.json"))?))
}

/// Opens a file of either format.
fn read_file(path: &Path) -> Result<Tensors> {
    let (file, size) = open(path)?;
    let mut start = Vec::new();
    file.take(9).read_to_end(&mut start).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    if start.starts_with(&MAGIC) {
        return read_gguf(path).map(Tensors::from);
    }
    // Safetensors has no magic: a length within the file, then a JSON object.
    let is_safetensors = match start.split_first_chunk() {
        Some((length, b"{")) => u64::from_le_bytes(*length) <= size.saturating_sub(8),
        _ => false,
    };
    if is_safetensors || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        return read_safetensors(path);
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
        return read_gguf(path).map(Tensors::from);
    }
    Err(WeightsError::UnknownFormat { file: path.to_owned(), start: start.escape_ascii().to_string() })
}

/// Reads one layer from the shards that hold it.
fn from_shards(directory: &Path, index: &Path, layer: usize) -> Result<FeedForwardWeights> {
    let text = read_json(index, "shard index")?;
    let Some(Value::Object(shards)) = text.get("weight_map") else {
        return Err(bad_json(index, "shard index", "no object \"weight_map\"".into()));
    };
    let names: Vec<&str> = shards.keys().map(String::as_str).collect();
    assemble(index, &names, layer, |tensor| {
        let shard = shards.get(tensor).and_then(Value::as_str).unwrap_or_default();
        // A file beside the index and nowhere else: an index may come from anyone.
        let mut parts = Path::new(shard).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            let (file, tensor, shard) = (index.to_owned(), tensor.to_owned(), shard.to_owned());
            return Err(WeightsError::ShardName { file, tensor, shard });
        }
        read_safetensors(directory.join(shard))?.weight(tensor)
    })
}

/// What `config.json` calls the activation; `None` where there is no such file, or it does not say.
fn configured_activation(config: &Path) -> Result<Option<String>> {
    if !config.exists() {
        return Ok(None);
    }
    let text = read_json(config, "config")?;
    // Models that see have their language model's settings one level down.
    let inner = text.get("text_config").and_then(Value::as_object);
    for object in std::iter::once(&text).chain(inner) {
        for key in ACTIVATION_KEYS {
            match object.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::String(name)) => return Ok(Some(name.clone())),
                Some(_) => return Err(bad_json(config, "config", format!("{key:?} is not a string"))),
            }
        }
    }
    Ok(None)
}

fn read_json(path: &Path, what: &'static str) -> Result<Map<String, Value>> {
    let (file, size) = open(path)?;
    if size > LONGEST_JSON {
        return Err(WeightsError::Count { file: path.to_owned(), what: format!("bytes of {what}"), claimed: size, room: LONGEST_JSON });
    }
    let mut text = Vec::new();
    file.take(size).read_to_end(&mut text).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    serde_json::from_slice(&text).map_err(|e| bad_json(path, what, e.to_string()))
}

fn bad_json(file: &Path, what: &'static str, reason: String) -> WeightsError {
    WeightsError::Json { file: file.to_owned(), what, reason }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
