//! Numbers as ggml's blocks. The kinds of 32 values are bit for bit what `gguf.quants.quantize` makes of the same numbers
//! ([`legacy`]); for those of 256, which it does not write, the codes are searched for ([`affine_k`], [`q6_k`]).

mod affine_k;
mod legacy;
mod q6_k;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::thread;

use half::f16;
use thiserror::Error;

use super::Block;

/// Why numbers cannot be quantised.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[allow(missing_docs, reason = "the fields are what the messages print")]
pub enum QuantiseError {
    /// The numbers are no whole blocks.
    #[error("{len} numbers are not whole {kind} blocks of {block}", kind = .kind.name(), block = .kind.len())]
    PartialBlock { kind: Block, len: usize },
    /// NaN or an infinity.
    #[error("number {at} is {value}, for which {kind} has no code", kind = .kind.name())]
    NotFinite { kind: Block, at: usize, value: f32 },
    /// A number whose block would need a scale beyond f16.
    #[error("number {at} is {value:e}, too large for the scales of {kind}, which are f16", kind = .kind.name())]
    TooLarge { kind: Block, at: usize, value: f32 },
}

impl QuantiseError {
    /// The number at fault: its place and itself.
    pub fn number(&self) -> Option<(usize, f32)> {
        match *self {
            Self::PartialBlock { .. } => None,
            Self::NotFinite { at, value, .. } | Self::TooLarge { at, value, .. } => Some((at, value)),
        }
    }
}

/// Numbers below which another thread does not pay.
const SHARE: usize = 1 << 14;

impl Block {
    /// Whole blocks of these numbers, on as many threads as there are processors; the bytes do not depend on how many.
    ///
    /// # Errors
    /// [`QuantiseError`], which tells the first number at fault.
    pub fn quantise(self, values: &[f32]) -> Result<Vec<u8>, QuantiseError> {
        if !values.len().is_multiple_of(self.len()) {
            return Err(QuantiseError::PartialBlock { kind: self, len: values.len() });
        }
        let blocks = values.len() / self.len();
        let mut bytes = vec![0; blocks.saturating_mul(self.size())];
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(values.len() / SHARE).max(1);
        let share = blocks.div_ceil(threads).max(1);
        let parts = values.chunks(share * self.len()).zip(bytes.chunks_mut(share * self.size()));
        let run = |values: &[f32], bytes: &mut [u8]| -> Result<(), (usize, QuantiseError)> {
            for (index, (values, bytes)) in values.chunks_exact(self.len()).zip(bytes.chunks_exact_mut(self.size())).enumerate() {
                self.quantise_block(values, bytes).map_err(|error| (index * self.len(), error))?;
            }
            Ok(())
        };
        let results: Vec<_> = if threads == 1 {
            parts.map(|(values, bytes)| run(values, bytes)).collect()
        } else {
            thread::scope(|scope| {
                let handles: Vec<_> = parts.map(|(values, bytes)| scope.spawn(move || run(values, bytes))).collect();
                let joined = handles.into_iter().map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                joined.collect()
            })
        };
        for (part, result) in results.into_iter().enumerate() {
            result.map_err(|(block, error)| error.moved(part * share * self.len() + block))?;
        }
        Ok(bytes)
    }

    fn quantise_block(self, values: &[f32], bytes: &mut [u8]) -> Result<(), QuantiseError> {
        if let Some((at, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(QuantiseError::NotFinite { kind: self, at, value: *value });
        }
        let scaled = match self {
            Self::Q8_0 => legacy::q8_0(values, bytes),
            Self::Q4_0 => legacy::symmetric(4, values, bytes),
            Self::Q5_0 => legacy::symmetric(5, values, bytes),
            Self::Q4_1 => legacy::affine(4, values, bytes),
            Self::Q5_1 => legacy::affine(5, values, bytes),
            Self::MXFP4 => legacy::mxfp4(values, bytes),
            Self::Q4_K => affine_k::quantise(4, values, bytes),
            Self::Q5_K => affine_k::quantise(5, values, bytes),
            Self::Q6_K => q6_k::quantise(values, bytes),
        };
        scaled.ok_or_else(|| {
            let (at, value) = largest(values);
            QuantiseError::TooLarge { kind: self, at, value }
        })
    }
}

impl QuantiseError {
    /// The same error `by` numbers further on.
    fn moved(mut self, by: usize) -> Self {
        if let Self::NotFinite { at, .. } | Self::TooLarge { at, .. } = &mut self {
            *at += by;
        }
        self
    }
}

/// The number of largest magnitude, the first of equals, and its place.
fn largest(values: &[f32]) -> (usize, f32) {
    values.iter().copied().enumerate().fold((0, 0.0), |most, one| if one.0 == 0 || one.1.abs() > most.1.abs() { one } else { most })
}

/// Writes a scale; `None` where f16 has no number for it.
fn put(bytes: &mut [u8], at: usize, scale: f32) -> Option<()> {
    let half = f16::from_f32(scale);
    bytes.get_mut(at..at + 2)?.copy_from_slice(&half.to_le_bytes());
    half.is_finite().then_some(())
}
