//! What is converted: one GGUF file, or the safetensors files of a model.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Component, Path};

use serde_json::{Map, Value};

use crate::weights::error::{Result, WeightsError};
use crate::weights::gguf::{Gguf, MAGIC, read_gguf};
use crate::weights::safetensors::read_safetensors;
use crate::weights::tensors::{Tensors, open};

/// An index beyond this is not read; that of a very large model has some tens of megabytes.
const LONGEST_INDEX: u64 = 100_000_000;

/// An opened model.
#[derive(Debug)]
pub(super) enum Source {
    Gguf(Gguf),
    Safetensors(Vec<Tensors>),
}

impl Source {
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return open_file(path);
        }
        let (whole, index) = (path.join("model.safetensors"), path.join("model.safetensors.index.json"));
        if whole.exists() {
            Ok(Self::Safetensors(vec![read_safetensors(whole)?]))
        } else if index.exists() {
            let files = shards(&index)?.into_iter().map(|shard| read_safetensors(path.join(shard)));
            files.collect::<Result<_>>().map(Self::Safetensors)
        } else {
            Err(WeightsError::NoModel { dir: path.to_owned() })
        }
    }

    pub fn files(&self) -> impl Iterator<Item = &Tensors> {
        let (gguf, files) = match self {
            Self::Gguf(file) => (Some(file.tensors()), &[][..]),
            Self::Safetensors(files) => (None, files.as_slice()),
        };
        gguf.into_iter().chain(files)
    }
}

/// A file of either format, known by its first bytes, or by its name where they are neither's.
fn open_file(path: &Path) -> Result<Source> {
    let (file, _) = open(path)?;
    let mut start = Vec::new();
    file.take(9).read_to_end(&mut start).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    let called = |name: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(name));
    if start.starts_with(&MAGIC) {
        read_gguf(path).map(Source::Gguf)
    } else if start.get(8) == Some(&b'{') || called("safetensors") {
        read_safetensors(path).map(|file| Source::Safetensors(vec![file]))
    } else if called("gguf") {
        read_gguf(path).map(Source::Gguf)
    } else {
        Err(WeightsError::UnknownFormat { file: path.to_owned(), start: start.escape_ascii().to_string() })
    }
}

/// The files that an index names, all of them beside it.
fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let bad = |reason: String| WeightsError::Json { file: index.to_owned(), what: "shard index", reason };
    let (file, size) = open(index)?;
    if size > LONGEST_INDEX {
        let (file, what) = (index.to_owned(), "bytes of shard index".to_owned());
        return Err(WeightsError::Count { file, what, claimed: size, room: LONGEST_INDEX });
    }
    let mut text = Vec::new();
    file.take(size).read_to_end(&mut text).map_err(|error| WeightsError::Io { file: index.to_owned(), doing: "read", error })?;
    let json: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let Some(Value::Object(map)) = json.get("weight_map") else { return Err(bad("no object \"weight_map\"".into())) };
    let shard = |(tensor, shard): (&String, &Value)| {
        let shard = shard.as_str().unwrap_or_default();
        let mut parts = Path::new(shard).components();
        // An index may come from anyone.
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) => Ok(shard.to_owned()),
            _ => Err(WeightsError::ShardName { file: index.to_owned(), tensor: tensor.clone(), shard: shard.to_owned() }),
        }
    };
    map.iter().map(shard).collect()
}
