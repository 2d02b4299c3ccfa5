//! What the examples with whole models share: a small Llama and a small BERT, written for reading. Their feed-forward layers
//! run on the GPU through this crate; everything else is plain Rust on the CPU.
#![allow(dead_code, reason = "every example uses its own part")]

pub mod attention;
pub mod bert;
pub mod check;
pub mod feed_forward;
pub mod files;
pub mod gguf_arrays;
pub mod kind;
pub mod llama;
pub mod matrix;
pub mod metadata;
pub mod norm;
pub mod reference;
pub mod sampling;
pub mod threads;
pub mod tokenizer;

use std::process::ExitCode;

/// Errors of many libraries meet here.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// An error of the examples' own.
pub fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(message.into().into())
}

/// Ends an example: an error is one line on stderr and status 1.
pub fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
