//! The index of a file: which tensors it holds, and where. A tensor's bytes are copied when it is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Result, WeightsError};
use super::host::{HostData, HostTensor, HostWeight};
use super::map::Map;
use crate::element::Element;
use crate::names::UnknownName;
use crate::quantised::Block;

/// How a tensor is stored in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Plain numbers.
    Plain(Element),
    /// Quantised blocks, which become f32.
    Blocks(Block),
    /// Anything else, by the file's name for it; asking for the tensor is an error.
    Unsupported(String),
}

impl Encoding {
    /// The kind that is read and written under this name, in upper or lower case.
    pub fn parse(name: &str) -> Option<Self> {
        let kinds = Element::ALL.map(Self::Plain).into_iter().chain(Block::ALL.map(Self::Blocks));
        kinds.into_iter().find(|kind| kind.to_string().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(element) => f.write_str(&element.name().to_uppercase()),
            Self::Blocks(block) => f.write_str(block.name()),
            Self::Unsupported(name) => f.write_str(name),
        }
    }
}

/// A tensor's place; whoever makes one has checked it against the file's size.
#[derive(Debug)]
pub(super) struct Entry {
    pub shape: Vec<usize>,
    pub encoding: Encoding,
    pub offset: u64,
    pub bytes: u64,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Store {
    File(Map),
    Memory(Vec<u8>),
}

impl Store {
    pub fn bytes(&self) -> io::Result<&[u8]> {
        match self {
            Self::File(map) => map.bytes(),
            Self::Memory(bytes) => Ok(bytes),
        }
    }
}

/// The tensors of one file, by name.
#[derive(Debug)]
pub struct Tensors {
    pub(super) file: PathBuf,
    pub(super) store: Store,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Text that a safetensors file holds besides.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Tensors {
    /// Text that a safetensors file holds besides its tensors (`__metadata__`), by name; of GGUF see
    /// [`Gguf`](super::Gguf).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The file they are in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Names in the order in which the tensors lie in the file.
    pub(super) fn names_in_place(&self) -> Vec<&str> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.offset);
        entries.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Row-major shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// How a tensor is stored.
    pub fn encoding(&self, name: &str) -> Option<&Encoding> {
        self.entries.get(name).map(|entry| &entry.encoding)
    }

    /// Reads one tensor: f32, f16 and bf16 as they are, quantised blocks as f32.
    ///
    /// # Errors
    /// As [`Tensors::weight`].
    pub fn get(&self, name: &str) -> Result<HostTensor> {
        let weight = self.weight(name)?;
        if let HostWeight::Blocks { shape, block, bytes } = &weight {
            // Blocks are a few bits a value; what they become may be too much where they were not.
            let count = (bytes.len() / block.size()).checked_mul(block.len()).and_then(|count| count.checked_mul(2 * 4));
            let fits = count.is_some_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
            if !fits {
                return Err(self.too_large(name, shape));
            }
        }
        Ok(weight.into_plain())
    }

    /// Reads one tensor as it is stored.
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`] with the nearest names, [`WeightsError::Unsupported`], [`WeightsError::TooLarge`] where
    /// it does not fit into memory, [`WeightsError::Io`].
    pub fn weight(&self, name: &str) -> Result<HostWeight> {
        let entry = self.entries.get(name).ok_or_else(|| missing(&self.file, name, self.names()))?;
        let read = || self.copied(name, entry);
        let shape = entry.shape.clone();
        match &entry.encoding {
            Encoding::Plain(element) => {
                let tensor = HostTensor { shape, data: HostData { element: *element, bytes: read()? } };
                tensor.check(name)?;
                Ok(HostWeight::Plain(tensor))
            }
            Encoding::Blocks(block) => Ok(HostWeight::Blocks { shape, block: *block, bytes: read()? }),
            Encoding::Unsupported(kind) => {
                Err(WeightsError::Unsupported { file: self.file.clone(), tensor: name.to_owned(), kind: kind.clone() })
            }
        }
    }

    /// The bytes of a tensor of integers, which no weight is made of alone; `kind` is what they have to be.
    pub(super) fn raw(&self, name: &str, kind: &str) -> Result<Vec<u8>> {
        let entry = self.entries.get(name).ok_or_else(|| missing(&self.file, name, self.names()))?;
        if entry.encoding.to_string() != kind {
            let (tensor, found) = (name.to_owned(), entry.encoding.to_string());
            return Err(WeightsError::Kind { file: self.file.clone(), tensor, found, expected: kind.to_owned() });
        }
        let bytes = self.copied(name, entry)?;
        let size = if kind == "I32" { 4 } else { 1 };
        let expected = entry.shape.iter().try_fold(size, |n: usize, d| n.checked_mul(*d));
        if expected == Some(bytes.len()) {
            return Ok(bytes);
        }
        let expected = expected.map_or("more than 2^64".into(), |n| n.to_string());
        Err(WeightsError::Bytes { tensor: name.to_owned(), shape: entry.shape.clone(), expected, found: bytes.len() })
    }

    /// A copy of a tensor's bytes.
    fn copied(&self, name: &str, entry: &Entry) -> Result<Vec<u8>> {
        let stored = self.bytes_of(entry)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(stored.len()).map_err(|_| self.too_large(name, &entry.shape))?;
        bytes.extend_from_slice(stored);
        Ok(bytes)
    }

    /// The bytes of one tensor where they lie, whatever its kind. Ask again rather than keep them: the file may be cut short.
    pub(super) fn stored(&self, name: &str) -> Result<&[u8]> {
        self.bytes_of(self.entries.get(name).ok_or_else(|| missing(&self.file, name, self.names()))?)
    }

    fn bytes_of(&self, entry: &Entry) -> Result<&[u8]> {
        let failed = |error| WeightsError::Io { file: self.file.clone(), doing: "read", error };
        let start = usize::try_from(entry.offset).ok();
        let end = entry.offset.checked_add(entry.bytes).and_then(|end| usize::try_from(end).ok());
        let bytes = self.store.bytes().map_err(failed)?;
        start.zip(end).and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))
    }

    fn too_large(&self, name: &str, shape: &[usize]) -> WeightsError {
        let shape = shape.iter().map(|d| *d as u64).collect();
        WeightsError::TooLarge { file: self.file.clone(), tensor: name.to_owned(), shape }
    }
}

/// The error for a tensor that is not there, with the nearest of the names that are.
pub(super) fn missing<'a>(file: &Path, tensor: &str, names: impl Iterator<Item = &'a str>) -> WeightsError {
    // The edit distance is quadratic, and a hostile file's names may be long and many.
    const LONGEST: usize = 256;
    const MOST: usize = 50_000;
    let asked = if tensor.len() <= LONGEST { tensor } else { "" };
    let nearest = UnknownName::new("tensor", asked, names.filter(|name| name.len() <= LONGEST).take(MOST)).nearest;
    WeightsError::MissingTensor { file: file.to_owned(), tensor: tensor.to_owned(), nearest }
}

/// Maps a regular file.
pub(super) fn map(path: &Path) -> Result<Map> {
    let (file, size) = open(path)?;
    Map::new(file, size).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "map", error })
}

/// Opens a regular file (a pipe would block, a directory cannot be read) and tells its size.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |error| WeightsError::Io { file: path.to_owned(), doing: "open", error };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    Ok((file, size))
}
