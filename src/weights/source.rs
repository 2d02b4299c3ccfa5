//! Where a model's tensors lie: one file, or shards that are opened when they are needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Result;
use super::host::HostWeight;
use super::open::beside;
use super::safetensors::read_safetensors;
use super::tensors::{Encoding, Tensors, missing};

/// What a file's header says of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// What it is stored as, for messages and tables.
    pub kind: String,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Tensors by name, wherever they are.
pub(super) trait Source: std::fmt::Debug + Send + Sync {
    /// The file that messages name.
    fn file(&self) -> &Path;
    /// All names.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;
    /// A tensor's header.
    fn header(&self, name: &str) -> Result<Header>;
    /// A tensor as it is stored.
    fn weight(&self, name: &str) -> Result<HostWeight>;
    /// The bytes of a tensor whose elements are not numbers of their own: `U8`, `I32`.
    fn raw(&self, name: &str, kind: &str) -> Result<Vec<u8>>;
}

impl Source for Tensors {
    fn file(&self) -> &Path {
        self.file()
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.names())
    }

    fn header(&self, name: &str) -> Result<Header> {
        let entry = self.entries.get(name).ok_or_else(|| missing(self.file(), name, self.names()))?;
        let kind = match &entry.encoding {
            Encoding::Plain(element) => element.name().to_owned(),
            other => other.to_string(),
        };
        Ok(Header { shape: entry.shape.clone(), kind, bytes: entry.bytes })
    }

    fn weight(&self, name: &str) -> Result<HostWeight> {
        self.weight(name)
    }

    fn raw(&self, name: &str, kind: &str) -> Result<Vec<u8>> {
        self.raw(name, kind)
    }
}

/// The shards of a model, by what their index says of them.
#[derive(Debug)]
pub(super) struct Shards {
    index: PathBuf,
    /// Shard of each tensor.
    shards: BTreeMap<String, String>,
    open: Mutex<BTreeMap<String, Arc<Tensors>>>,
}

impl Shards {
    /// The shards of an index in the same directory; nothing is opened.
    pub fn new(index: &Path, shards: BTreeMap<String, String>) -> Self {
        Self { index: index.to_owned(), shards, open: Mutex::default() }
    }

    fn shard(&self, tensor: &str) -> Result<Arc<Tensors>> {
        let shard = self.shards.get(tensor).ok_or_else(|| missing(&self.index, tensor, self.names()))?;
        let file = beside(&self.index, tensor, shard)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tensors) = open.get(shard) {
            return Ok(Arc::clone(tensors));
        }
        let tensors = Arc::new(read_safetensors(file)?);
        open.insert(shard.clone(), Arc::clone(&tensors));
        Ok(tensors)
    }
}

impl Source for Shards {
    fn file(&self) -> &Path {
        &self.index
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.shards.keys().map(String::as_str))
    }

    fn header(&self, name: &str) -> Result<Header> {
        Source::header(self.shard(name)?.as_ref(), name)
    }

    fn weight(&self, name: &str) -> Result<HostWeight> {
        self.shard(name)?.weight(name)
    }

    fn raw(&self, name: &str, kind: &str) -> Result<Vec<u8>> {
        self.shard(name)?.raw(name, kind)
    }
}
