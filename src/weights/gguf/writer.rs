//! Writing GGUF version 3: the header first, then one tensor after the other, none of which need be in memory.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use super::infos::MOST_DIMENSIONS;
use super::kinds::{Layout, layout};
use super::value::Value;
use super::{ALIGNMENT, DEFAULT_ALIGNMENT, Gguf, MAGIC};
use crate::weights::error::{Result, WeightsError};
use crate::weights::tensors::Encoding;
use crate::weights::whole_file::WholeFile;

/// A GGUF file in the making: what it will hold is said first, and written in one go.
#[derive(Debug, Clone)]
pub struct GgufWriter {
    /// Values as they are stored, their types first.
    pairs: Vec<(String, Vec<u8>)>,
    alignment: u64,
    tensors: Vec<Planned>,
}

#[derive(Debug, Clone)]
struct Planned {
    name: String,
    shape: Vec<usize>,
    encoding: Encoding,
}

/// Where one tensor's bytes go.
pub struct TensorSink<'a> {
    file: &'a mut dyn Write,
    failed: &'a dyn Fn(io::Error) -> WeightsError,
    left: u64,
    written: u64,
}

impl Default for GgufWriter {
    fn default() -> Self {
        Self { pairs: Vec::new(), alignment: DEFAULT_ALIGNMENT, tensors: Vec::new() }
    }
}

impl GgufWriter {
    /// With the metadata of another file, arrays included, in its order.
    ///
    /// # Errors
    /// [`WeightsError::Io`] where that file has been cut short.
    pub fn with_metadata_of(file: &Gguf) -> Result<Self> {
        let pairs = file.stored_metadata()?.into_iter().map(|(key, stored)| (key.to_owned(), stored.to_vec())).collect();
        Ok(Self { pairs, alignment: file.alignment, tensors: Vec::new() })
    }

    /// With texts by name; a text for `general.alignment`, which is a number, is left out.
    pub fn with_texts(texts: &BTreeMap<String, String>) -> Self {
        let stored = |(key, text): (&String, &String)| Some((key.clone(), Value::String(text.clone()).stored()?));
        let pairs = texts.iter().filter(|(key, _)| *key != ALIGNMENT).filter_map(stored).collect();
        Self { pairs, ..Self::default() }
    }

    /// Adds a value where the key has none yet. Returns whether it did: arrays, of which a [`Value`] has only the length, and
    /// `general.alignment` come from another file alone.
    pub fn set(&mut self, key: &str, value: &Value) -> bool {
        let known = key == ALIGNMENT || self.pairs.iter().any(|(known, _)| known == key);
        let stored = value.stored().filter(|_| !known);
        let taken = stored.is_some();
        self.pairs.extend(stored.map(|stored| (key.to_owned(), stored)));
        taken
    }

    /// Adds a tensor, `shape` being row-major.
    pub fn tensor(&mut self, name: &str, shape: &[usize], encoding: Encoding) {
        self.tensors.push(Planned { name: name.to_owned(), shape: shape.to_vec(), encoding });
    }

    /// Writes the file whole or not at all, asking `fill` for the tensors in the order in which they were added.
    ///
    /// # Errors
    /// What `fill` returns; [`WeightsError::Duplicate`], [`WeightsError::ZeroDimension`], [`WeightsError::Count`],
    /// [`WeightsError::PartialBlock`], [`WeightsError::TooLarge`] and [`WeightsError::NotInGguf`] for tensors that GGUF cannot
    /// hold; [`WeightsError::Bytes`] where `fill` writes too few or too many; [`WeightsError::Io`].
    pub fn write(&self, path: &Path, mut fill: impl FnMut(&str, &mut TensorSink<'_>) -> Result<()>) -> Result<()> {
        let failed = |error| WeightsError::Io { file: path.to_owned(), doing: "write", error };
        let sizes = self.tensors.iter().map(|tensor| tensor.bytes(path)).collect::<Result<Vec<_>>>()?;
        let header = self.header(path, &sizes)?;
        WholeFile::check(path).map_err(failed)?.write_with(failed, |file| {
            file.write_all(&header).map_err(failed)?;
            for (Planned { name, shape, .. }, size) in self.tensors.iter().zip(sizes) {
                let mut sink = TensorSink { file, failed: &failed, left: size, written: 0 };
                fill(name, &mut sink)?;
                if sink.written != size {
                    let found = usize::try_from(sink.written).unwrap_or(usize::MAX);
                    return Err(WeightsError::Bytes { tensor: name.clone(), shape: shape.clone(), expected: size.to_string(), found });
                }
                pad(file, size, self.alignment).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Everything before the data, which starts aligned.
    fn header(&self, path: &Path, sizes: &[u64]) -> Result<Vec<u8>> {
        let mut seen = HashSet::new();
        let mut header = MAGIC.to_vec();
        header.extend(3_u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, stored) in &self.pairs {
            string(&mut header, key);
            header.extend(stored);
        }
        let mut offset = 0_u64;
        for (tensor, size) in self.tensors.iter().zip(sizes) {
            if !seen.insert(tensor.name.as_str()) {
                return Err(WeightsError::Duplicate { file: path.to_owned(), what: "tensor", name: tensor.name.clone() });
            }
            string(&mut header, &tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|dim| header.extend((*dim as u64).to_le_bytes()));
            header.extend(tensor.layout(path)?.id.to_le_bytes());
            header.extend(offset.to_le_bytes());
            let next = offset.checked_add(*size).and_then(|end| end.checked_next_multiple_of(self.alignment));
            offset = next.ok_or_else(|| tensor.too_large(path))?;
        }
        let len = header.len() as u64;
        pad(&mut header, len, self.alignment).map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "write", error })?;
        Ok(header)
    }
}

impl Planned {
    fn layout(&self, path: &Path) -> Result<Layout> {
        layout(&self.encoding).ok_or_else(|| WeightsError::NotInGguf {
            file: path.to_owned(),
            tensor: self.name.clone(),
            kind: self.encoding.to_string(),
        })
    }

    fn too_large(&self, path: &Path) -> WeightsError {
        WeightsError::TooLarge { file: path.to_owned(), tensor: self.name.clone(), shape: self.dims() }
    }

    fn dims(&self) -> Vec<u64> {
        self.shape.iter().map(|dim| *dim as u64).collect()
    }

    /// Bytes of the tensor, where GGUF can hold it.
    fn bytes(&self, path: &Path) -> Result<u64> {
        let (file, tensor) = (|| path.to_owned(), || self.name.clone());
        let Layout { len, size, .. } = self.layout(path)?;
        let (dims, row) = (self.dims(), self.shape.last().map_or(1, |row| *row as u64));
        if dims.len() as u64 > u64::from(MOST_DIMENSIONS) {
            let what = format!("dimensions of tensor {:?}", self.name);
            return Err(WeightsError::Count { file: file(), what, claimed: dims.len() as u64, room: u64::from(MOST_DIMENSIONS) });
        }
        if dims.contains(&0) {
            return Err(WeightsError::ZeroDimension { file: file(), tensor: tensor(), shape: dims });
        }
        if !row.is_multiple_of(len) {
            return Err(WeightsError::PartialBlock { file: file(), tensor: tensor(), kind: self.encoding.to_string(), row, block: len });
        }
        let elements = dims.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim));
        elements.and_then(|elements| (elements / len).checked_mul(size)).ok_or_else(|| self.too_large(path))
    }
}

impl TensorSink<'_> {
    /// Writes the next of the tensor's bytes. What is more than they are is counted and not written.
    ///
    /// # Errors
    /// [`WeightsError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        self.written = self.written.saturating_add(len);
        if let Some(left) = self.left.checked_sub(len) {
            self.left = left;
            self.file.write_all(bytes).map_err(self.failed)?;
        }
        Ok(())
    }
}

fn string(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

/// Zeros after `len` bytes, up to a multiple of `alignment`.
fn pad(file: &mut dyn Write, len: u64, alignment: u64) -> io::Result<()> {
    let zeros = len.next_multiple_of(alignment) - len;
    io::copy(&mut io::Read::take(io::repeat(0), zeros), file).map(drop)
}
