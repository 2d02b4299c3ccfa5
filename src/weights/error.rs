//! What can be wrong with a file of weights. Names from files are printed escaped: they may hold anything.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A result whose error is a [`WeightsError`].
pub type Result<T> = std::result::Result<T, WeightsError>;

/// Why weights could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the messages print")]
pub enum WeightsError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {error}", .file.display())]
    Io {
        file: PathBuf,
        doing: &'static str,
        #[source]
        error: io::Error,
    },
    /// Neither format's magic.
    #[error("{} is neither GGUF nor safetensors: it starts with \"{start}\"", .file.display())]
    UnknownFormat { file: PathBuf, start: String },
    /// The file ends too early.
    #[error("{}: {what} needs {needs} bytes, and the file has {has} left", .file.display())]
    Truncated { file: PathBuf, what: String, needs: u64, has: u64 },
    /// The header does not account for every byte.
    #[error("{}: the header describes {described} bytes, and the file has {size}", .file.display())]
    Size { file: PathBuf, described: u64, size: u64 },
    /// A JSON text (safetensors header, config, shard index) that cannot be what it should be.
    #[error("{}: bad {what}: {reason}", .file.display())]
    Json { file: PathBuf, what: &'static str, reason: String },
    /// Not a GGUF file.
    #[error("{}: not GGUF: the magic is \"{}\"", .file.display(), .found.escape_ascii())]
    Magic { file: PathBuf, found: [u8; 4] },
    /// A GGUF version that is not read.
    #[error("{}: GGUF version {found}{}; versions 2 and 3 are read", .file.display(), if .found.swap_bytes() < 256 { " (a big-endian file)" } else { "" })]
    Version { file: PathBuf, found: u32 },
    /// More things claimed than the file can hold.
    #[error("{}: {claimed} {what} claimed, at most {room} possible", .file.display())]
    Count { file: PathBuf, what: String, claimed: u64, room: u64 },
    /// Text that is not UTF-8.
    #[error("{}: {what} is not UTF-8 from byte {at} of {len} on", .file.display())]
    NotUtf8 { file: PathBuf, what: String, at: usize, len: usize },
    /// A name given twice.
    #[error("{}: the {what} {name:?} comes twice", .file.display())]
    Duplicate { file: PathBuf, what: &'static str, name: String },
    /// A metadata value that the format does not allow.
    #[error("{}: the value of {key:?} {wrong}", .file.display())]
    Metadata { file: PathBuf, key: String, wrong: String },
    /// A dimension of zero.
    #[error("{}: tensor {tensor:?} of shape {shape:?} has a dimension of zero", .file.display())]
    ZeroDimension { file: PathBuf, tensor: String, shape: Vec<u64> },
    /// A size beyond 64 bits, or beyond the host's memory.
    #[error("{}: tensor {tensor:?} of shape {shape:?} is too large", .file.display())]
    TooLarge { file: PathBuf, tensor: String, shape: Vec<u64> },
    /// Rows that are not whole blocks.
    #[error("{}: tensor {tensor:?}: rows of {row} elements are not whole {kind} blocks of {block}", .file.display())]
    PartialBlock { file: PathBuf, tensor: String, kind: String, row: u64, block: u64 },
    /// A tensor's place does not respect the alignment.
    #[error("{}: tensor {tensor:?} at offset {offset} is not aligned to {alignment}", .file.display())]
    Misaligned { file: PathBuf, tensor: String, offset: u64, alignment: u64 },
    /// A tensor's place reaches past the end.
    #[error("{}: tensor {tensor:?} at {start} with {bytes} bytes reaches past the end of the file at {size}", .file.display())]
    PastEnd { file: PathBuf, tensor: String, start: u64, bytes: u64, size: u64 },
    /// Two tensors share bytes.
    #[error("{}: tensor {tensor:?} ends at {end}, but {other:?} starts at {start}", .file.display())]
    Overlap { file: PathBuf, tensor: String, other: String, end: u64, start: u64 },
    /// A kind of element that is not read.
    #[error("{}: tensor {tensor:?} is {kind}; F32, F16 and BF16 are read, from GGUF also Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K and MXFP4", .file.display())]
    Unsupported { file: PathBuf, tensor: String, kind: String },
    /// A kind of element that GGUF does not have.
    #[error("{}: tensor {tensor:?} is {kind}, which GGUF cannot hold", .file.display())]
    NotInGguf { file: PathBuf, tensor: String, kind: String },
    /// A number that the kind it was to be stored as cannot hold.
    #[error("{}: tensor {tensor:?}: {value:e} at {at:?} cannot be stored as {kind}", .file.display())]
    Unstorable { file: PathBuf, tensor: String, at: Vec<u64>, value: f32, kind: String },
    /// Writing was stopped by whoever asked for it.
    #[error("stopped; {} was not written", .file.display())]
    Stopped { file: PathBuf },
    /// Elements of another kind than their meaning needs.
    #[error("{}: tensor {tensor:?} is {found}; {expected} is needed", .file.display())]
    Kind { file: PathBuf, tensor: String, found: String, expected: String },
    /// No such tensor.
    #[error("{}: no tensor {tensor:?}; {}", .file.display(), nearest_text(.nearest))]
    MissingTensor { file: PathBuf, tensor: String, nearest: Vec<String> },
    /// Bytes and shape disagree.
    #[error("tensor {tensor:?} of shape {shape:?} needs {expected} bytes, and has {found}")]
    Bytes { tensor: String, shape: Vec<usize>, expected: String, found: usize },
    /// A name that the format keeps for itself.
    #[error("{}: {name:?} cannot be a tensor's name in a safetensors file", .file.display())]
    ReservedName { file: PathBuf, name: String },
    /// No feed-forward network with names that we know.
    #[error("{}: no feed-forward network found among {count} tensors ({}); known names: {schemes}", .file.display(), list(.names))]
    NoFeedForward { file: PathBuf, count: usize, names: Vec<String>, schemes: String },
    /// More than one family of names fits.
    #[error("{}: more than one feed-forward network: {}", .file.display(), list(.found))]
    Ambiguous { file: PathBuf, found: Vec<String> },
    /// No such layer.
    #[error("{}: no feed-forward layer {layer}; layers: {}", .file.display(), ranges(.layers))]
    MissingLayer { file: PathBuf, layer: usize, layers: Vec<usize> },
    /// A layer without one of its operands.
    #[error("{}: layer {layer} has no {missing:?}; it has {}", .file.display(), list(.found))]
    Incomplete { file: PathBuf, layer: usize, missing: String, found: Vec<String> },
    /// Two tensors for one operand.
    #[error("{}: {tensor:?} and {other:?} are the same operand", .file.display())]
    Conflict { file: PathBuf, tensor: String, other: String },
    /// A tensor that belongs to the layer and whose meaning is not known; without it the numbers would be wrong.
    #[error("{}: {tensor:?} belongs to the network, but what it means is not known", .file.display())]
    NotUnderstood { file: PathBuf, tensor: String },
    /// Gate and up in one tensor, which cannot be halved.
    #[error("{}: {tensor:?} of shape {shape:?} holds gate and up, but they cannot be halved", .file.display())]
    OddRows { file: PathBuf, tensor: String, shape: Vec<usize> },
    /// The operands do not fit together.
    #[error("{}: layer {layer}: {mismatch}", .file.display())]
    Shape {
        file: PathBuf,
        layer: usize,
        #[source]
        mismatch: Box<ShapeMismatch>,
    },
    /// A directory without a model that we read.
    #[error("{}: no model.safetensors and no model.safetensors.index.json in this directory", .dir.display())]
    NoModel { dir: PathBuf },
    /// The settings say one thing and the tensors another.
    #[error("{}: {:?} is {}, but {:?} says {}", .file.display(), .difference.one, .difference.says, .difference.other, .difference.found)]
    Disagreement { file: PathBuf, difference: Box<Difference> },
    /// The settings and the tensors disagree on what a layer is.
    #[error("{}: layer {layer} is {said} by {key:?}, but its tensors are {found}", .file.display())]
    LayerKind { file: PathBuf, layer: usize, key: String, said: String, found: String },
    /// The settings do not say what is needed.
    #[error("{}: {what}: not said; it would be in {}", .file.display(), list(.keys))]
    Unsaid { file: PathBuf, what: &'static str, keys: Vec<String> },
    /// A setting that is not read.
    #[error("{}: {key:?} is {found}; {expected} is read", .file.display())]
    Setting { file: PathBuf, key: String, found: String, expected: String },
    /// Two tensors that should be alike.
    #[error("{}: {:?} is {}, but {:?} is {}", .file.display(), .difference.one, .difference.says, .difference.other, .difference.found)]
    Unlike { file: PathBuf, difference: Box<Difference> },
    /// A tensor whose shape does not go with the others'.
    #[error("{}: {tensor:?} has shape {found:?}, expected {expected}", .file.display())]
    TensorShape { file: PathBuf, tensor: String, found: Vec<usize>, expected: String },
    /// A number within a tensor that has no meaning.
    #[error("{}: {tensor:?}: {what} is {found}; {expected}", .file.display())]
    Content { file: PathBuf, tensor: String, what: String, found: i64, expected: String },
    /// A mixture of experts where one network was asked for.
    #[error("{}: layer {layer} is a mixture of {experts} experts, not one feed-forward network", .file.display())]
    Mixture { file: PathBuf, layer: usize, experts: usize },
    /// A shard outside its directory.
    #[error("{}: the shard {shard:?} of {tensor:?} is not a file name", .file.display())]
    ShardName { file: PathBuf, tensor: String, shard: String },
}

/// Two names, and what each stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A setting or a tensor.
    pub one: String,
    /// What it says or is.
    pub says: String,
    /// A tensor; of a model's layers the last one's prefix.
    pub other: String,
    /// What that says or is.
    pub found: String,
}

/// Two operands whose shapes do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operand} has shape {found:?}, expected {expected} beside {reference} of shape {reference_shape:?}")]
pub struct ShapeMismatch {
    /// The operand that does not fit, such as `w_down`.
    pub operand: &'static str,
    /// Its shape.
    pub found: Vec<usize>,
    /// What would fit.
    pub expected: String,
    /// The operand it is held against.
    pub reference: &'static str,
    /// That operand's shape.
    pub reference_shape: Vec<usize>,
}

fn nearest_text(nearest: &[String]) -> String {
    if nearest.is_empty() { "there are no tensors".into() } else { format!("nearest: {}", list(nearest)) }
}

fn list(names: &[String]) -> String {
    shortened(names.iter().map(|name| format!("{name:?}")))
}

/// The first few, and how many more: a hostile file can have millions.
fn shortened(items: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 12;
    let more = items.len().saturating_sub(MOST);
    let text = items.take(MOST).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// Ascending numbers as ranges: `0-3, 7`.
fn ranges(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(n) => *end = n,
            _ => runs.push((n, n)),
        }
    }
    shortened(runs.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_print_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, usize::MAX]), format!("0-2, 5, {}", usize::MAX));
        assert!(ranges(&(0..40).map(|n| 2 * n).collect::<Vec<_>>()).ends_with("20, 22 and 28 more"));
    }

    #[test]
    fn hostile_names_are_escaped() {
        let error = WeightsError::Duplicate { file: "f".into(), what: "tensor", name: "\u{1b}[31m".into() };
        assert_eq!(error.to_string(), "f: the tensor \"\\u{1b}[31m\" comes twice");
    }
}
