//! Files for the tests of this room: a writer of GGUF files, true or lying, directories as Hugging Face has them, and a breaker
//! of any file.

use std::path::Path;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use super::{Model, Result};
use crate::accuracy::Random;

/// A GGUF file in the making.
pub(super) struct Builder {
    pub version: u32,
    pub pairs: Vec<Vec<u8>>,
    pub infos: Vec<Vec<u8>>,
    pub data: Vec<u8>,
    pub alignment: usize,
}

pub(super) fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A tensor info; `dims` have the fastest first.
pub(super) fn info(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name);
    bytes.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|d| bytes.extend(d.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

impl Builder {
    pub fn new() -> Self {
        Self { version: 3, pairs: Vec::new(), infos: Vec::new(), data: Vec::new(), alignment: 32 }
    }

    /// A key with a value of type `kind`, given as bytes.
    pub fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push([string(key), kind.to_le_bytes().to_vec(), value.to_vec()].concat());
        self
    }

    /// A tensor; `shape` is row-major.
    pub fn tensor(mut self, name: &str, shape: &[u64], kind: u32, bytes: &[u8]) -> Self {
        self.data.resize(self.data.len().next_multiple_of(self.alignment), 0);
        let dims: Vec<u64> = shape.iter().rev().copied().collect();
        self.infos.push(info(name, &dims, kind, self.data.len() as u64));
        self.data.extend(bytes);
        self
    }

    /// A tensor of f32 that counts up from `first`.
    pub fn counting(self, name: &str, shape: &[u64], first: f32) -> Self {
        let count = shape.iter().product::<u64>();
        let bytes: Vec<u8> = (0..count).flat_map(|i| (first + i as f32).to_le_bytes()).collect();
        self.tensor(name, shape, 0, &bytes)
    }

    /// As it would be with these counts of tensors and metadata entries, true or not.
    pub fn build_claiming(&self, tensors: u64, pairs: u64) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(pairs.to_le_bytes());
        bytes.extend(self.pairs.concat());
        bytes.extend(self.infos.concat());
        bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
        bytes.extend(&self.data);
        bytes
    }

    pub fn build(&self) -> Vec<u8> {
        self.build_claiming(self.infos.len() as u64, self.pairs.len() as u64)
    }
}

/// A tensor of a safetensors file, of any kind.
#[derive(Clone)]
pub(super) struct Raw {
    pub kind: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Raw {
    /// Numbers of f32 that count up from `first`.
    pub fn counting(shape: &[usize], first: f32) -> Self {
        let count = shape.iter().product::<usize>();
        let bytes = (0..count).flat_map(|i| (first + i as f32).to_le_bytes()).collect();
        Self { kind: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub fn zeros(kind: Dtype, shape: &[usize]) -> Self {
        let bytes = vec![0; shape.iter().product::<usize>() * kind.bitsize() / 8];
        Self { kind, shape: shape.to_vec(), bytes }
    }

    pub fn to_f64(&self) -> Vec<f64> {
        match self.kind {
            Dtype::F64 => self.bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            _ => crate::Element::F32.decode(&self.bytes).into_iter().map(f64::from).collect(),
        }
    }
}

/// Every tensor of a reference file.
pub(super) fn golden(file: &str) -> Vec<(String, Raw)> {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let raw = |view: TensorView| Raw { kind: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
    tensors.into_iter().map(|(name, view)| (name, raw(view))).collect()
}

/// A directory with a config and tensors.
pub(super) struct Folder(pub TempDir);

impl Folder {
    pub fn new(config: &str, tensors: &[(String, Raw)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let views = tensors.iter().map(|(name, raw)| (name, TensorView::new(raw.kind, raw.shape.clone(), &raw.bytes).unwrap()));
        folder.put("model.safetensors", &::safetensors::serialize(views, None).unwrap());
        folder.put("config.json", config.as_bytes());
        folder
    }

    /// Tensors of f32, the numbers of each of which count up from a hundred times its place among them.
    pub fn counting(config: &str, tensors: &[(&str, &[usize])]) -> Self {
        let raw = |(i, (name, shape)): (usize, &(&str, &[usize]))| ((*name).to_owned(), Raw::counting(shape, 100.0 * i as f32));
        Self::new(config, &tensors.iter().enumerate().map(raw).collect::<Vec<_>>())
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
    }

    pub fn model(&self) -> Result<Model> {
        Model::open(self.0.path())
    }
}

/// A copy with one to four places spoilt: a byte, or eight bytes that make a large, small or random number.
pub(super) fn mutated(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.bits() % 4 {
        let at = (random.bits() % bytes.len() as u64) as usize;
        let number = match random.bits() % 6 {
            0 => u64::MAX,
            1 => 1 << (random.bits() % 64),
            2 => random.bits() % 64,
            3 => random.bits(),
            _ => {
                bytes[at] = random.bits() as u8;
                continue;
            }
        };
        let end = bytes.len().min(at + 8);
        bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
    }
    bytes
}
