//! GGUF versions 2 and 3, little-endian (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

mod cursor;
mod infos;
mod kinds;
#[cfg(test)]
mod tests;
mod value;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use self::cursor::Cursor;
pub(super) use self::kinds::layout;
use self::value::Pair;
pub use self::value::Value;
pub use self::writer::{GgufWriter, TensorSink};
use super::error::{Result, WeightsError};
use super::tensors::{Entry, Store, Tensors, map};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// Where the metadata says how tensors are aligned, and how they are where it does not.
const ALIGNMENT: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u64 = 32;
/// Bytes of the shortest key and value, and of the shortest tensor info: what a count is held against.
const SHORTEST_PAIR: u64 = 8 + 4 + 1;
const SHORTEST_INFO: u64 = 8 + 4 + 4 + 8;

/// A GGUF file: its metadata and its tensors, with row-major shapes (`[out, in]` for a weight).
#[derive(Debug)]
pub struct Gguf {
    version: u32,
    metadata: BTreeMap<String, Pair>,
    alignment: u64,
    tensors: Tensors,
}

/// Opens a GGUF file and checks its header.
///
/// # Errors
/// [`WeightsError::Io`], and one of the typed errors of a bad header. A tensor of a kind that is not read is an error only
/// when it is asked for.
pub fn read_gguf(path: impl AsRef<Path>) -> Result<Gguf> {
    let path = path.as_ref();
    Gguf::from_store(Store::File(map(path)?), path)
}

impl Gguf {
    /// A GGUF file in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`read_gguf`].
    pub fn from_bytes(bytes: Vec<u8>, name: impl AsRef<Path>) -> Result<Self> {
        Self::from_store(Store::Memory(bytes), name.as_ref())
    }

    fn from_store(store: Store, file: &Path) -> Result<Self> {
        let (version, metadata, alignment, entries) = parse(store.bytes().map_err(|error| failed(file, error))?, file)?;
        let tensors = Tensors { file: file.to_owned(), store, entries, metadata: BTreeMap::new() };
        Ok(Self { version, metadata, alignment, tensors })
    }

    /// The format's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Keys and values in alphabetical order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, pair)| (key.as_str(), &pair.value))
    }

    /// One value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key).map(|pair| &pair.value)
    }

    /// Every key in the file's order, with the bytes of its value: its type and what follows, arrays included.
    pub(super) fn stored_metadata(&self) -> Result<Vec<(&str, &[u8])>> {
        let bytes = self.tensors.store.bytes().map_err(|error| failed(&self.tensors.file, error))?;
        let mut pairs: Vec<_> = self.metadata.iter().collect();
        pairs.sort_by_key(|(_, pair)| pair.place.start);
        Ok(pairs.into_iter().map(|(key, pair)| (key.as_str(), pair.bytes(bytes))).collect())
    }

    /// The tensors.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }
}

impl From<Gguf> for Tensors {
    fn from(file: Gguf) -> Self {
        file.tensors
    }
}

type Parsed = (u32, BTreeMap<String, Pair>, u64, BTreeMap<String, Entry>);

fn failed(file: &Path, error: io::Error) -> WeightsError {
    WeightsError::Io { file: file.to_owned(), doing: "read", error }
}

fn parse(bytes: &[u8], file: &Path) -> Result<Parsed> {
    let mut cursor = Cursor::new(bytes, file);
    let magic = cursor.array("the magic")?;
    if magic != MAGIC {
        return Err(WeightsError::Magic { file: file.to_owned(), found: magic });
    }
    let version = cursor.u32("the version")?;
    if !(2..=3).contains(&version) {
        return Err(WeightsError::Version { file: file.to_owned(), found: version });
    }
    let tensors = cursor.u64("the number of tensors")?;
    let pairs = cursor.u64("the number of metadata entries")?;
    // Each count against all that is left: neither can make the other's loop long.
    cursor.room_for("tensors", tensors, SHORTEST_INFO)?;
    cursor.room_for("metadata entries", pairs, SHORTEST_PAIR)?;
    let metadata = value::read_metadata(&mut cursor, pairs)?;
    let alignment = alignment(&metadata, file)?;
    let entries = infos::read_infos(&mut cursor, tensors, alignment)?;
    Ok((version, metadata, alignment, entries))
}

/// ggml demands a power of two given as u32.
fn alignment(metadata: &BTreeMap<String, Pair>, file: &Path) -> Result<u64> {
    match metadata.get(ALIGNMENT).map(|pair| &pair.value) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(n)) if n.is_power_of_two() => Ok(u64::from(*n)),
        Some(other) => {
            let wrong = format!("is {other:?}, not a power of two as u32");
            Err(WeightsError::Metadata { file: file.to_owned(), key: ALIGNMENT.into(), wrong })
        }
    }
}
