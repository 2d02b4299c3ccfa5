//! What is converted: one GGUF file, or the safetensors files of a model.

use std::collections::BTreeSet;
use std::path::Path;

use crate::weights::error::Result;
use crate::weights::gguf::Gguf;
use crate::weights::open::{File, Folder, beside, open_file, open_folder};
use crate::weights::safetensors::read_safetensors;
use crate::weights::tensors::Tensors;

/// An opened model.
#[derive(Debug)]
pub(super) enum Source {
    Gguf(Gguf),
    Safetensors(Vec<Tensors>),
}

impl Source {
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Ok(match open_file(path)? {
                File::Gguf(gguf) => Self::Gguf(gguf),
                File::Safetensors(tensors) => Self::Safetensors(vec![tensors]),
            });
        }
        match open_folder(path)? {
            Folder::Whole(tensors) => Ok(Self::Safetensors(vec![tensors])),
            Folder::Sharded(index, shards) => {
                let files = shards.iter().map(|(tensor, shard)| beside(&index, tensor, shard)).collect::<Result<BTreeSet<_>>>()?;
                files.into_iter().map(read_safetensors).collect::<Result<_>>().map(Self::Safetensors)
            }
        }
    }

    pub fn files(&self) -> impl Iterator<Item = &Tensors> {
        let (gguf, files) = match self {
            Self::Gguf(file) => (Some(file.tensors()), &[][..]),
            Self::Safetensors(files) => (None, files.as_slice()),
        };
        gguf.into_iter().chain(files)
    }
}
