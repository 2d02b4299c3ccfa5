//! A model's matrices in another kind, as a GGUF file: they are converted a piece at a time, and everything else is copied.

mod names;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use self::source::Source;
use super::error::{Result, WeightsError};
use super::gguf::{GgufWriter, TensorSink, Value, layout};
use super::tensors::{Encoding, Tensors};

/// Values of a piece: whole blocks of every kind, and few enough that nothing of a large model is in memory for long.
const PIECE: u64 = 1 << 20;
/// ggml's version of its blocks (GGML_QNT_VERSION).
const QUANTISATION_VERSION: u32 = 2;

/// Which matrices are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrices {
    /// Those of feed-forward layers and of experts, by their names: gate, up and down.
    FeedForward,
    /// All tensors of two dimensions or more.
    All,
}

/// Why a matrix stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its rows are not whole blocks.
    Rows {
        /// Numbers in a row.
        row: u64,
        /// Numbers in a block.
        block: u64,
    },
    /// Its numbers are of a kind that is not read.
    Unread,
    /// All experts in one tensor under Hugging Face's names, which says nothing of whether rows are inputs (gpt-oss) or outputs
    /// (Mixtral).
    Experts,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows { row, block } => write!(f, "rows of {row} are not whole blocks of {block}"),
            Self::Unread => f.write_str("not of a kind that is read"),
            Self::Experts => f.write_str("experts in one tensor, whose rows may be inputs or outputs"),
        }
    }
}

/// What becomes of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name, before and after.
    pub name: String,
    /// Its shape, the slowest dimension first.
    pub shape: Vec<usize>,
    /// What it is.
    pub from: Encoding,
    /// What it will be; the same where it is copied.
    pub to: Encoding,
    /// Bytes before.
    pub bytes_before: u64,
    /// Bytes after.
    pub bytes_after: u64,
    /// Why it is copied although it was meant.
    pub left: Option<Left>,
    /// Which of the source's files it is in.
    file: usize,
}

/// What converting cost in accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loss {
    /// The root of the mean square of the errors, over that of the numbers; 0 where both are.
    pub relative_rms: f64,
    /// The largest error.
    pub largest: f64,
}

/// A conversion that has been planned.
#[derive(Debug)]
pub struct Conversion {
    source: Source,
    tensors: Vec<Planned>,
}

impl Conversion {
    /// Opens a GGUF file, a safetensors file, or a directory with `model.safetensors` or an index of shards, and decides what
    /// becomes of each tensor. What is of the wanted kind already is copied.
    ///
    /// # Errors
    /// Any [`WeightsError`].
    pub fn open(path: &Path, to: &Encoding, matrices: Matrices) -> Result<Self> {
        let source = Source::open(path)?;
        let mut tensors = Vec::new();
        for (index, file) in source.files().enumerate() {
            for name in file.names_in_place() {
                let (Some(shape), Some(from)) = (file.shape(name), file.encoding(name)) else { continue };
                let wanted = shape.len() > 1 && from != to && (matrices == Matrices::All || names::is_feed_forward(name));
                let bytes_before = file.stored(name)?.len() as u64;
                let (becomes, left) = match wanted {
                    true if shape.len() > 2 && names::is_fused_experts(name) => (None, Some(Left::Experts)),
                    true => converted(shape, from, to),
                    false => (None, None),
                };
                let bytes_after = becomes.unwrap_or(bytes_before);
                let to = if becomes.is_some() { to } else { from };
                let (name, shape, from, to) = (name.to_owned(), shape.to_vec(), from.clone(), to.clone());
                tensors.push(Planned { name, shape, from, to, bytes_before, bytes_after, left, file: index });
            }
        }
        Ok(Self { source, tensors })
    }

    /// Every tensor, in the order in which they lie in their files.
    pub fn tensors(&self) -> &[Planned] {
        &self.tensors
    }

    /// Writes the file whole or not at all. `progress` is told a tensor's name and how many more of its bytes are done, and can
    /// stop it. Returns what each tensor lost; `None` for those that are copied.
    ///
    /// # Errors
    /// [`WeightsError::Unstorable`] for a number that the new kind cannot hold, NaN and infinities among them;
    /// [`WeightsError::Stopped`]; what [`GgufWriter::write`] refuses; [`WeightsError::Io`].
    pub fn write(&self, path: &Path, progress: &mut dyn FnMut(&str, u64) -> ControlFlow<()>) -> Result<Vec<Option<Loss>>> {
        let mut writer = match &self.source {
            Source::Gguf(file) => GgufWriter::with_metadata_of(file)?,
            Source::Safetensors(files) => {
                let texts = files.iter().flat_map(|file| file.metadata().clone()).collect::<BTreeMap<_, _>>();
                let mut writer = GgufWriter::with_texts(&texts);
                writer.set("general.architecture", &Value::String("unknown".into()));
                writer
            }
        };
        if self.tensors.iter().any(|tensor| matches!(tensor.to, Encoding::Blocks(_))) {
            writer.set("general.quantization_version", &Value::U32(QUANTISATION_VERSION));
        }
        for Planned { name, shape, to, .. } in &self.tensors {
            writer.tensor(name, shape, to.clone());
        }
        let mut progress = |name: &str, bytes: usize| match progress(name, bytes as u64) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(WeightsError::Stopped { file: path.to_owned() }),
        };
        let mut losses = Vec::new();
        let mut tensors = self.tensors.iter();
        writer.write(path, |_, sink| {
            let Some(tensor) = tensors.next() else { return Ok(()) };
            let Some(file) = self.source.files().nth(tensor.file) else { return Ok(()) };
            losses.push(if tensor.from == tensor.to {
                tensor.copy(file, sink, &mut progress)?;
                None
            } else {
                Some(tensor.convert(file, sink, &mut progress)?)
            });
            Ok(())
        })?;
        Ok(losses)
    }
}

/// Bytes of a tensor of this shape as `to`, or why it stays.
fn converted(shape: &[usize], from: &Encoding, to: &Encoding) -> (Option<u64>, Option<Left>) {
    let (Some(layout), false) = (layout(to), matches!(from, Encoding::Unsupported(_))) else {
        return (None, Some(Left::Unread));
    };
    let row = shape.last().map_or(1, |row| *row as u64);
    if !row.is_multiple_of(layout.len) {
        return (None, Some(Left::Rows { row, block: layout.len }));
    }
    let values = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim as u64));
    (values.and_then(|values| (values / layout.len).checked_mul(layout.size)), None)
}

/// The ranges of whole pieces of `piece` bytes, and of the rest.
fn pieces(bytes: u64, piece: u64) -> impl Iterator<Item = Range<usize>> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    (0..bytes.div_ceil(piece.max(1))).map(move |k| place(k * piece)..place(((k + 1) * piece).min(bytes)))
}

impl Planned {
    /// A piece of its bytes; asked for each time, for its file may be cut short meanwhile.
    fn piece<'a>(&self, file: &'a Tensors, place: Range<usize>) -> Result<&'a [u8]> {
        Ok(file.stored(&self.name)?.get(place).unwrap_or_default())
    }

    fn copy(&self, file: &Tensors, sink: &mut TensorSink<'_>, progress: &mut impl FnMut(&str, usize) -> Result<()>) -> Result<()> {
        for place in pieces(self.bytes_before, 4 * PIECE) {
            let piece = self.piece(file, place)?;
            sink.write(piece)?;
            progress(&self.name, piece.len())?;
        }
        Ok(())
    }

    fn convert(&self, file: &Tensors, sink: &mut TensorSink<'_>, progress: &mut impl FnMut(&str, usize) -> Result<()>) -> Result<Loss> {
        let size = layout(&self.from).map_or(1, |layout| PIECE / layout.len * layout.size);
        let (mut squares, mut errors, mut largest) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (index, place) in pieces(self.bytes_before, size).enumerate() {
            let piece = self.piece(file, place)?;
            let values = decoded(&self.from, piece);
            let unstorable = |at: usize, value: f32| {
                let at = self.coordinates(index as u64 * PIECE + at as u64);
                WeightsError::Unstorable { file: file.file().to_owned(), tensor: self.name.clone(), at, value, kind: self.to.to_string() }
            };
            if let Some((at, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
                return Err(unstorable(at, *value));
            }
            let bytes = match &self.to {
                Encoding::Blocks(block) => block
                    .quantise(&values)
                    .map_err(|error| error.number().map_or_else(|| unstorable(0, 0.0), |(at, value)| unstorable(at, value)))?,
                Encoding::Plain(element) => element.encode(&values),
                Encoding::Unsupported(_) => Vec::new(),
            };
            for (at, (value, back)) in values.iter().zip(decoded(&self.to, &bytes)).enumerate() {
                if !back.is_finite() {
                    return Err(unstorable(at, *value));
                }
                let error = f64::from(*value) - f64::from(back);
                squares += f64::from(*value).powi(2);
                errors += error.powi(2);
                largest = largest.max(error.abs());
            }
            sink.write(&bytes)?;
            progress(&self.name, piece.len())?;
        }
        Ok(Loss { relative_rms: if errors == 0.0 { 0.0 } else { (errors / squares).sqrt() }, largest })
    }

    /// Where a value lies, the slowest dimension first.
    fn coordinates(&self, mut at: u64) -> Vec<u64> {
        let mut place: Vec<u64> = Vec::new();
        for dim in self.shape.iter().rev() {
            let dim = (*dim as u64).max(1);
            place.push(at % dim);
            at /= dim;
        }
        place.reverse();
        place
    }
}

fn decoded(encoding: &Encoding, bytes: &[u8]) -> Vec<f32> {
    match encoding {
        Encoding::Plain(element) => element.decode(bytes),
        Encoding::Blocks(block) => {
            let mut values = Vec::new();
            block.dequantise(bytes, &mut values);
            values
        }
        Encoding::Unsupported(_) => Vec::new(),
    }
}
