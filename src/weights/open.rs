//! What a path holds: a file of either format, or a Hugging Face directory with one file or with shards.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::error::{Result, WeightsError};
use super::gguf::{Gguf, MAGIC, read_gguf};
use super::safetensors::read_safetensors;
use super::tensors::{Tensors, open};

/// JSON texts beyond this are not read; a shard index of a very large model has some tens of megabytes.
const LONGEST_INDEX: u64 = 100_000_000;

/// An opened file.
pub(super) enum File {
    Gguf(Gguf),
    Safetensors(Tensors),
}

/// The tensors of a directory.
pub(super) enum Folder {
    Whole(Tensors),
    /// The index, and the shard of each tensor; none of them is opened.
    Sharded(PathBuf, BTreeMap<String, String>),
}

/// Opens a file that is known by its first bytes, whatever it is called, or else by its name.
pub(super) fn open_file(path: &Path) -> Result<File> {
    let (file, size) = open(path)?;
    let mut start = Vec::new();
    file.take(9).read_to_end(&mut start).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    let has_extension = |name: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(name));
    // Safetensors has no magic: a length within the file, then a JSON object.
    let is_safetensors = match start.split_first_chunk() {
        Some((length, b"{")) => u64::from_le_bytes(*length) <= size.saturating_sub(8),
        _ => false,
    };
    let is_gguf = start.starts_with(&MAGIC);
    if !is_gguf && (is_safetensors || has_extension("safetensors")) {
        return read_safetensors(path).map(File::Safetensors);
    }
    if is_gguf || has_extension("gguf") {
        return read_gguf(path).map(File::Gguf);
    }
    Err(WeightsError::UnknownFormat { file: path.to_owned(), start: start.escape_ascii().to_string() })
}

/// Opens `model.safetensors` of a directory, or reads `model.safetensors.index.json`.
pub(super) fn open_folder(path: &Path) -> Result<Folder> {
    let (whole, index) = (path.join("model.safetensors"), path.join("model.safetensors.index.json"));
    if whole.exists() {
        return read_safetensors(&whole).map(Folder::Whole);
    }
    if !index.exists() {
        return Err(WeightsError::NoModel { dir: path.to_owned() });
    }
    let shards = shards(&index)?;
    Ok(Folder::Sharded(index, shards))
}

/// The shard of each tensor.
fn shards(index: &Path) -> Result<BTreeMap<String, String>> {
    let what = "shard index";
    let mut text = read_json(index, what, LONGEST_INDEX)?;
    let Some(Value::Object(shards)) = text.remove("weight_map") else {
        return Err(bad_json(index, what, "no object \"weight_map\"".into()));
    };
    let shard = |(tensor, shard): (String, Value)| match shard {
        Value::String(shard) => Ok((tensor, shard)),
        _ => Err(bad_json(index, what, format!("the shard of {tensor:?} is not a string"))),
    };
    shards.into_iter().map(shard).collect()
}

/// A shard's file: beside the index and nowhere else, since an index may come from anyone.
pub(super) fn beside(index: &Path, tensor: &str, shard: &str) -> Result<PathBuf> {
    let mut parts = Path::new(shard).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Err(WeightsError::ShardName { file: index.to_owned(), tensor: tensor.to_owned(), shard: shard.to_owned() });
    }
    Ok(index.with_file_name(shard))
}

/// Reads a JSON object of at most so many bytes.
pub(super) fn read_json(path: &Path, what: &'static str, longest: u64) -> Result<Map<String, Value>> {
    let (file, size) = open(path)?;
    if size > longest {
        return Err(WeightsError::Count { file: path.to_owned(), what: format!("bytes of {what}"), claimed: size, room: longest });
    }
    let mut text = Vec::new();
    file.take(size).read_to_end(&mut text).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    serde_json::from_slice(&text).map_err(|e| bad_json(path, what, e.to_string()))
}

fn bad_json(file: &Path, what: &'static str, reason: String) -> WeightsError {
    WeightsError::Json { file: file.to_owned(), what, reason }
}
