//! What ends a subcommand.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use ffwd::names::UnknownName;
use ffwd::weights::WeightsError;
use thiserror::Error;

use crate::interrupt;

/// Why a subcommand failed; printed as one line.
#[derive(Debug, Error)]
pub enum CliError {
    /// From the layers on the GPU.
    #[error(transparent)]
    Gpu(#[from] ffwd::Error),
    /// From a file of weights or tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A name that is not known.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A size that no layer has.
    #[error(transparent)]
    Size(#[from] ffwd::sizing::SizingError),
    /// Standard output is gone or full.
    #[error("cannot write to standard output")]
    Stdout(#[from] io::Error),
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Message(String),
}

impl CliError {
    /// Whether the reader of our output left, which is no failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Weights(WeightsError::Stopped { .. }) => interrupt::EXIT_CODE.into(),
            _ => ExitCode::FAILURE,
        }
    }
}

/// The error and those of its causes that its text does not hold already.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

/// Shorthand for [`CliError::Message`].
pub fn message<T>(text: impl Into<String>) -> Result<T, CliError> {
    Err(CliError::Message(text.into()))
}
