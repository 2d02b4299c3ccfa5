//! What can be wrong with a file of measurements. Text from files is printed escaped: it may hold anything.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A result whose error is a [`ReportError`].
pub type Result<T> = std::result::Result<T, ReportError>;

/// Why a file of measurements cannot be read. A `field` is a path such as `workloads[3].seconds.median`.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the messages print")]
pub enum ReportError {
    /// The operating system refused.
    #[error("cannot read {}: {error}", .file.display())]
    Io {
        file: PathBuf,
        #[source]
        error: io::Error,
    },
    /// Not JSON at all, or numbers that no f64 holds.
    #[error("{}: not JSON: {error}", .file.display())]
    NotJson {
        file: PathBuf,
        #[source]
        error: serde_json::Error,
    },
    /// Another kind of file, or another version of this one.
    #[error("{}: the schema is {found:?}; {wanted:?} is read", .file.display())]
    Schema { file: PathBuf, found: String, wanted: &'static str },
    /// A field that is not there.
    #[error("{}: {field} is missing", .file.display())]
    Missing { file: PathBuf, field: String },
    /// A field of another type.
    #[error("{}: {field} should be {expected}, and is {found}", .file.display())]
    Type { file: PathBuf, field: String, expected: &'static str, found: String },
    /// A number that cannot have been measured.
    #[error("{}: {field} is {found:e}, and can be {least:e} to {most:e}", .file.display())]
    Number { file: PathBuf, field: String, found: f64, least: f64, most: f64 },
    /// Two numbers of which one must be wrong.
    #[error("{}: {field} is {found:e}, which contradicts {other} of {reference:e}", .file.display())]
    Contradiction { file: PathBuf, field: String, found: f64, other: &'static str, reference: f64 },
    /// A workload given twice.
    #[error("{}: the workload {name:?} comes twice", .file.display())]
    Twice { file: PathBuf, name: String },
}
