//! GGUF versions 2 and 3, little-endian (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

mod cursor;
mod infos;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Mutex;

use self::cursor::Cursor;
pub use self::value::Value;
use super::error::{Result, WeightsError};
use super::tensors::{Entry, Store, Tensors, open};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// Where the metadata does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Bytes of the shortest key and value, and of the shortest tensor info: what a count is held against.
const SHORTEST_PAIR: u64 = 8 + 4 + 1;
const SHORTEST_INFO: u64 = 8 + 4 + 4 + 8;

/// A GGUF file: its metadata and its tensors, with row-major shapes (`[out, in]` for a weight).
#[derive(Debug)]
pub struct Gguf {
    version: u32,
    metadata: BTreeMap<String, Value>,
    tensors: Tensors,
}

/// Opens a GGUF file and checks its header.
///
/// # Errors
/// [`WeightsError::Io`], and one of the typed errors of a bad header. A tensor of a kind that is not read is an error only
/// when it is asked for.
pub fn read_gguf(path: impl AsRef<Path>) -> Result<Gguf> {
    let path = path.as_ref();
    let (file, size) = open(path)?;
    let (version, metadata, entries) = parse(BufReader::new(&file), size, path)?;
    let store = Store::File(Mutex::new(file));
    Ok(Gguf { version, metadata, tensors: Tensors { file: path.to_owned(), store, entries, metadata: BTreeMap::new() } })
}

impl Gguf {
    /// A GGUF file in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`read_gguf`].
    pub fn from_bytes(bytes: Vec<u8>, name: impl AsRef<Path>) -> Result<Self> {
        let file = name.as_ref();
        let (version, metadata, entries) = parse(bytes.as_slice(), bytes.len() as u64, file)?;
        Ok(Self {
            version,
            metadata,
            tensors: Tensors { file: file.to_owned(), store: Store::Memory(bytes), entries, metadata: BTreeMap::new() },
        })
    }

    /// The format's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Keys and values in alphabetical order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// One value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
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

type Parsed = (u32, BTreeMap<String, Value>, BTreeMap<String, Entry>);

fn parse(reader: impl Read, size: u64, file: &Path) -> Result<Parsed> {
    let mut cursor = Cursor::new(reader, size, file);
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
    Ok((version, metadata, entries))
}

/// ggml demands a power of two given as u32.
fn alignment(metadata: &BTreeMap<String, Value>, file: &Path) -> Result<u64> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(n)) if n.is_power_of_two() => Ok(u64::from(*n)),
        Some(other) => {
            let wrong = format!("is {other:?}, not a power of two as u32");
            Err(WeightsError::Metadata { file: file.to_owned(), key: KEY.into(), wrong })
        }
    }
}
