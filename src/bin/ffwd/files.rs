//! Files that are written: first asked whether that will work, then whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ffwd::Gpu;
use ffwd::gpu::Tensor;
use ffwd::weights::{HostData, HostTensor, write_safetensors};

use crate::error::CliError;

/// A file to be written, in a folder known to take one.
#[derive(Debug)]
pub struct Output(PathBuf);

impl Output {
    /// Fails now where the file could not be written later; what is there stays as it is.
    pub fn check(path: &Path) -> Result<Self, CliError> {
        let failed = |source| CliError::Output { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        tempfile::Builder::new().prefix(".ffwd-").tempfile_in(folder(path)).map_err(failed)?;
        Ok(Self(path.to_owned()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        let failed = |source| CliError::Output { path: self.0.clone(), source };
        let mut builder = tempfile::Builder::new();
        // A temporary file is private by default; this one is as readable as any other.
        #[cfg(unix)]
        builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        let mut file = builder.prefix(".ffwd-").tempfile_in(folder(&self.0)).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(&self.0).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Writes tensors as safetensors.
    pub fn write_tensors(&self, tensors: &[(String, HostTensor)]) -> Result<(), CliError> {
        Ok(write_safetensors(&self.0, tensors)?)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
