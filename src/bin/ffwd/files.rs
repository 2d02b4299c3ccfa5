//! Files that are written: first asked whether that will work, then whole or not at all.

use std::path::{Path, PathBuf};

use ffwd::Gpu;
use ffwd::gpu::Tensor;
use ffwd::weights::{HostData, HostTensor, WholeFile, write_safetensors};

use crate::error::CliError;

/// A file to be written, and the name it goes by.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: WholeFile,
}

impl Output {
    /// Fails now where the file could not be written later; what is there stays as it is.
    pub fn check(path: &Path) -> Result<Self, CliError> {
        let file = WholeFile::check(path).map_err(|source| CliError::Output { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write([bytes]).map_err(|source| CliError::Output { path: self.path.clone(), source })
    }

    /// Writes tensors as safetensors.
    pub fn write_tensors(&self, tensors: &[(String, HostTensor)]) -> Result<(), CliError> {
        Ok(write_safetensors(&self.path, tensors)?)
    }
}

/// Copies a tensor to the device, as it is stored.
pub fn upload(gpu: &Gpu, HostTensor { shape, data }: &HostTensor) -> Result<Tensor, CliError> {
    Ok(gpu.tensor_from_bytes(&data.bytes, shape, data.element)?)
}

/// Copies a tensor back, as it is stored.
pub fn download(gpu: &Gpu, tensor: &Tensor) -> Result<HostTensor, CliError> {
    let data = HostData { element: tensor.element(), bytes: gpu.read_bytes(tensor)? };
    Ok(HostTensor { shape: tensor.shape().to_vec(), data })
}

/// Names, kinds and shapes in one line.
pub fn summary(tensors: &[(String, HostTensor)]) -> String {
    tensors.iter().map(|(name, tensor)| format!("{name} {} {:?}", tensor.element(), tensor.shape)).collect::<Vec<_>>().join(", ")
}
