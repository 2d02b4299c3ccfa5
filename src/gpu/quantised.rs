//! Weights on a device: plain or quantised.

use std::sync::Arc;

use super::device::Gpu;
use super::tensor::Tensor;
use crate::element::Element;
use crate::error::Error;
use crate::quantised::{Block, Int4, Packing, WeightKind, pack_blocks, pack_int4};

/// A quantised matrix `[.., in]` in GPU memory, packed for the kernels ([`Packing`]). Clones share the buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// Rows of words, in the guise of f32; nothing reads them as such.
    words: Tensor,
    shape: Vec<usize>,
    packing: Packing,
    /// The inputs that its columns multiply, as words, where they are not in the order of the inputs.
    order: Option<Arc<Order>>,
}

/// An order of columns, on the host and on the device.
#[derive(Debug)]
struct Order {
    inputs: Vec<u32>,
    words: Tensor,
}

impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

/// Weights of a layer, plain or quantised.
#[derive(Debug, Clone, PartialEq)]
pub enum Weight {
    /// Plain numbers.
    Plain(Tensor),
    /// Quantised ones.
    Quantised(Quantised),
}

/// The right operand of a product.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a> {
    /// Plain numbers.
    Plain(&'a Tensor),
    /// Quantised ones.
    Quantised(&'a Quantised),
    /// Quantised ones, for a left operand that is in the order of their columns.
    Ordered(&'a Quantised),
}

impl Quantised {
    /// Dimensions, the slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same rows under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where rows would be longer or shorter, or not as many.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self, Error> {
        let rows = |shape: &[usize]| shape.iter().rev().skip(1).try_fold(1_usize, |n, d| n.checked_mul(*d));
        if shape.last() != self.shape.last() || rows(shape) != rows(&self.shape) {
            return Err(Error::Shape {
                operand: "reshape",
                expected: format!("as many rows as {shape:?}, as long"),
                actual: self.shape.clone(),
            });
        }
        Ok(Self { shape: shape.to_vec(), ..self.clone() })
    }

    /// How it is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Bytes of its rows, and of their order.
    pub fn bytes(&self) -> u64 {
        self.words.bytes() + self.order.as_ref().map_or(0, |order| order.words.bytes())
    }
}

impl Weight {
    /// Dimensions, the slowest first.
    pub fn shape(&self) -> &[usize] {
        Matrix::from(self).shape()
    }

    /// How it is stored.
    pub fn kind(&self) -> WeightKind {
        Matrix::from(self).kind()
    }

    /// Bytes of GPU memory.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Plain(tensor) => tensor.bytes(),
            Self::Quantised(quantised) => quantised.bytes(),
        }
    }

    /// The tensor, of plain weights.
    ///
    /// # Errors
    /// As [`Matrix::plain`].
    pub fn plain(&self) -> Result<&Tensor, Error> {
        Matrix::from(self).plain()
    }
}

impl<'a> Matrix<'a> {
    /// The tensor, of plain weights: what training, and whatever else changes weights, needs.
    ///
    /// # Errors
    /// [`Error::Unsupported`] names the kind of quantised ones.
    pub fn plain(self) -> Result<&'a Tensor, Error> {
        match self {
            Self::Plain(tensor) => Ok(tensor),
            Self::Quantised(quantised) | Self::Ordered(quantised) => {
                Err(Error::Unsupported { function: quantised.packing.to_string(), what: "gradients, or numbers that are not packed" })
            }
        }
    }

    /// Dimensions, the slowest first.
    pub fn shape(self) -> &'a [usize] {
        match self {
            Self::Plain(tensor) => tensor.shape(),
            Self::Quantised(quantised) | Self::Ordered(quantised) => quantised.shape(),
        }
    }

    /// How it is stored.
    pub fn kind(self) -> WeightKind {
        match self {
            Self::Plain(tensor) => tensor.element().into(),
            Self::Quantised(quantised) | Self::Ordered(quantised) => WeightKind::Packed(quantised.packing),
        }
    }

    /// The elements, or the words.
    pub(crate) fn memory(self) -> &'a Tensor {
        match self {
            Self::Plain(tensor) => tensor,
            Self::Quantised(quantised) | Self::Ordered(quantised) => &quantised.words,
        }
    }

    /// The inputs that the columns multiply, where they are not in the inputs' order.
    pub(crate) fn order(self) -> Option<&'a Tensor> {
        match self {
            Self::Quantised(quantised) => quantised.order.as_ref().map(|order| &order.words),
            Self::Plain(_) | Self::Ordered(_) => None,
        }
    }

    /// The same order of columns.
    pub(crate) fn same_order(self, other: Self) -> bool {
        let order = |matrix| match matrix {
            Self::Quantised(quantised) => quantised.order.as_deref(),
            Self::Plain(_) | Self::Ordered(_) => None,
        };
        order(self) == order(other)
    }

    /// The same, for a left operand that has been brought into the order of the columns.
    pub(crate) const fn in_order(self) -> Self {
        match self {
            Self::Quantised(quantised) => Self::Ordered(quantised),
            other => other,
        }
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self::Plain(tensor)
    }
}

impl From<Quantised> for Weight {
    fn from(quantised: Quantised) -> Self {
        Self::Quantised(quantised)
    }
}

impl<'a> From<&'a Tensor> for Matrix<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::Plain(tensor)
    }
}

impl<'a> From<&'a Quantised> for Matrix<'a> {
    fn from(quantised: &'a Quantised) -> Self {
        Self::Quantised(quantised)
    }
}

impl<'a> From<&'a Weight> for Matrix<'a> {
    fn from(weight: &'a Weight) -> Self {
        match weight {
            Weight::Plain(tensor) => Self::Plain(tensor),
            Weight::Quantised(quantised) => Self::Quantised(quantised),
        }
    }
}

impl Gpu {
    /// Uploads ggml's blocks, `shape` being `[.., in]`, repacked row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] where rows are not whole blocks, or the blocks not as many as the shape says; as [`Gpu::zeros`].
    pub fn quantised_blocks(&self, blocks: &[u8], shape: &[usize], block: Block) -> Result<Quantised, Error> {
        let cols = shape.last().copied().unwrap_or(0);
        let bytes = shape.iter().try_fold(block.size(), |n, d| n.checked_mul(*d)).map(|bytes| bytes / block.len());
        if cols == 0 || !cols.is_multiple_of(block.len()) || bytes != Some(blocks.len()) {
            let expected = format!("rows of whole {} blocks of {}, {} bytes in all", block.name(), block.len(), blocks.len());
            return Err(Error::Shape { operand: "blocks", expected, actual: shape.to_vec() });
        }
        let mut rows = blocks.chunks_exact(cols / block.len() * block.size());
        self.pack(shape, Packing::Block(block), |words| {
            if let Some(row) = rows.next() {
                pack_blocks(block, row, words);
            }
        })
    }

    /// Uploads int4 weights in the order of their columns. Where that is not the order of the inputs ([`Int4::order`]), products
    /// first bring the left operand into it.
    ///
    /// # Errors
    /// [`Error::Shape`] where the parts are not as long as the shape says, or groups no multiple of 32; as [`Gpu::zeros`].
    pub fn quantised_int4(&self, int4: &Int4) -> Result<Quantised, Error> {
        let group = u32::try_from(int4.group).ok().filter(|group| group.is_multiple_of(32));
        let Some(group) = group.filter(|_| int4.is_consistent()) else {
            let expected = format!("whole groups of a multiple of 32, not of {}, with as many codes and scales", int4.group);
            return Err(Error::Shape { operand: "int4", expected, actual: int4.shape.to_vec() });
        };
        let mut rows = 0..int4.shape[0];
        let packed = self.pack(&int4.shape, Packing::Int4 { group }, |words| {
            if let Some(row) = rows.next() {
                pack_int4(int4, row, words);
            }
        })?;
        let upload = |inputs: &Vec<u32>| {
            let words = self.tensor_from_bytes(bytemuck::cast_slice(inputs), &[inputs.len()], Element::F32)?;
            Ok::<_, Error>(Arc::new(Order { inputs: inputs.clone(), words }))
        };
        Ok(Quantised { order: int4.order.as_ref().map(upload).transpose()?, ..packed })
    }

    /// Packs row after row, each from zeros, and uploads them by the piece.
    fn pack(&self, shape: &[usize], packing: Packing, mut next: impl FnMut(&mut [u32])) -> Result<Quantised, Error> {
        let cols = shape.last().copied().unwrap_or(0);
        let (rows, width) = (shape.iter().rev().skip(1).product::<usize>(), packing.row_words(cols));
        let words = self.zeros(&[rows, width], Element::F32)?;
        let at_a_time = (Self::PIECE / 4 / width.max(1)).max(1);
        let mut piece = vec![0; at_a_time.min(rows) * width];
        for first in (0..rows).step_by(at_a_time) {
            let piece = &mut piece[..at_a_time.min(rows - first) * width];
            piece.fill(0);
            piece.chunks_exact_mut(width).for_each(&mut next);
            self.queue().write_buffer(words.buffer(), (first * width * 4) as u64, bytemuck::cast_slice(piece));
            // wgpu keeps a copy of what it has not submitted.
            self.queue().submit([]);
        }
        Ok(Quantised { words, shape: shape.to_vec(), packing, order: None })
    }
}
