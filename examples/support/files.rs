//! Where the models are.

use std::path::{Path, PathBuf};

use super::{Result, fail};

/// Of SmolLM2, a GGUF file.
pub const SMOLLM2: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// Of all-MiniLM-L6-v2, a Hugging Face directory.
pub const MINILM: &str = "models/minilm";

/// A file of this repository.
pub fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The model that was asked for, or the one that scripts/fetch-models puts at `default`.
pub fn model(asked: Option<PathBuf>, default: &str) -> Result<PathBuf> {
    let path = asked.unwrap_or_else(|| of_repository(default));
    if !path.exists() {
        return fail(format!("there is no model at {}; scripts/fetch-models downloads the examples' models", path.display()));
    }
    Ok(path)
}
