//! Dropout, and the count on the device that its random numbers follow.

use super::checks;
use super::elementwise::Given;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Tensor};

/// Dropout (Srivastava et al. 2014), inverted: each element is 0 with this probability, else divided by 1 - probability.
///
/// Element e is dropped where word e % 4 of Philox4x32-10 (Salmon et al. 2011), at counter (e / 4, `stream`, the
/// [`Counter`]'s count, 0) and key `seed`, is below `probability` * 2^32. So nothing is stored: forward and backward agree as
/// long as the count stays, and every adapter drops the same elements. Elements are those of the whole tensor, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// At least 0 and below 1.
    pub probability: f64,
    /// Key of the generator.
    pub seed: u64,
    /// What tells this use from others of the same seed.
    pub stream: u32,
}

/// A count on the device, 32 bits: of steps, say. Clones share it.
#[derive(Debug, Clone)]
pub struct Counter {
    /// One element, whose bits are the count.
    tensor: Tensor,
}

/// What steers the random numbers of a kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Random {
    pub seed: u64,
    pub stream: u32,
    /// Random words below it mean that an element is dropped.
    pub threshold: u32,
    /// Factor of what is kept.
    pub scale: f32,
    /// What an operation of its own kind needs besides.
    pub numbers: [u32; 3],
}

impl Random {
    /// As uniform blocks hold it.
    pub(super) const fn words(self) -> [[u32; 4]; 2] {
        let [a, b, c] = self.numbers;
        [[self.seed as u32, (self.seed >> 32) as u32, self.stream, self.threshold], [self.scale.to_bits(), a, b, c]]
    }
}

impl Counter {
    /// A new count.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, count: u32) -> Result<Self, Error> {
        Ok(Self { tensor: gpu.tensor_from_bytes(&count.to_le_bytes(), &[1], Element::F32)? })
    }

    /// The first element of a tensor, whose bits count.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, Error> {
        Ok(Self { tensor: tensor.view(0, &[1])? })
    }

    /// Sets the count, for everything that is submitted from now on.
    pub fn set(&self, gpu: &Gpu, count: u32) {
        gpu.queue().write_buffer(self.tensor.buffer(), self.tensor.offset() * Element::F32.size(), &count.to_le_bytes());
    }

    pub(crate) const fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

/// Adds the operand that dropout needs, and says what steers it.
pub(super) fn operand<'a>(dropout: Option<&'a (Dropout, Counter)>, operands: &mut Vec<Given<'a>>) -> Result<Random, Error> {
    let Some((Dropout { probability, seed, stream }, counter)) = dropout else { return Ok(Random::default()) };
    checks::below_one("dropout", "probability", *probability)?;
    operands.push(Given { name: "counter", tensor: counter.tensor(), half: 0 });
    // A float becomes the nearest integer that there is.
    let threshold = (probability * 2.0_f64.powi(32)).round() as u32;
    Ok(Random { seed: *seed, stream: *stream, threshold, scale: (1.0 / (1.0 - probability)) as f32, numbers: [0; 3] })
}
