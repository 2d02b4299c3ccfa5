//! Files of tensors of any kind, and the binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ffwd::Element;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// A tensor as it is stored.
#[derive(Debug, Clone)]
pub struct Raw {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Raw {
    pub fn new(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { dtype, shape: shape.to_vec(), bytes }
    }

    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        Self::new(Dtype::F32, shape, Element::F32.encode(values))
    }

    pub fn element(&self) -> Option<Element> {
        match self.dtype {
            Dtype::F32 => Some(Element::F32),
            Dtype::F16 => Some(Element::F16),
            Dtype::BF16 => Some(Element::Bf16),
            _ => None,
        }
    }

    pub fn to_f32(&self) -> Vec<f32> {
        self.element().expect("a kind of the GPU").decode(&self.bytes)
    }

    pub fn to_f64(&self) -> Vec<f64> {
        match self.dtype {
            Dtype::F64 => self.bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            _ => self.to_f32().into_iter().map(f64::from).collect(),
        }
    }
}

pub type Tensors = BTreeMap<String, Raw>;

pub fn read(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.tensors().into_iter().map(|(name, view)| (name, Raw::new(view.dtype(), view.shape(), view.data().to_vec()))).collect()
}

pub fn write(path: &Path, tensors: &[(&str, &Raw)]) {
    let views = tensors
        .iter()
        .map(|(name, raw)| (*name, TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).expect("shape and bytes agree")));
    std::fs::write(path, safetensors::serialize(views, None).expect("tensors")).expect("a writable folder");
}

pub fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

pub fn ffwd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ffwd")).args(args).output().expect("the binary runs")
}

/// Runs and demands success; returns standard output.
pub fn succeed(args: &[&str]) -> Result<String, String> {
    let output = ffwd(args);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}
