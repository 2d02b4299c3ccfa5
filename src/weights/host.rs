//! A tensor in host memory, as it is stored.

use super::error::{Result, WeightsError};
use crate::element::Element;
use crate::quantised::{Block, Int4};

/// Elements in their own kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostData {
    /// Kind of the elements.
    pub element: Element,
    /// The elements, little-endian.
    pub bytes: Vec<u8>,
}

/// A row-major tensor in host memory; a weight is `[out, in]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTensor {
    /// Dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: HostData,
}

impl HostData {
    /// The numbers, exactly: f32 holds every f16 and bf16.
    pub fn to_f32(&self) -> Vec<f32> {
        self.element.decode(&self.bytes)
    }
}

impl HostTensor {
    /// Numbers stored as `element`, rounded to nearest even.
    ///
    /// # Errors
    /// [`WeightsError::Bytes`] where there are not as many numbers as the shape says.
    pub fn new(shape: &[usize], element: Element, values: &[f32]) -> Result<Self> {
        let tensor = Self { shape: shape.to_vec(), data: HostData { element, bytes: element.encode(values) } };
        tensor.check("new").map(|()| tensor)
    }

    /// The numbers, exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.to_f32()
    }

    /// Kind of the elements.
    pub fn element(&self) -> Element {
        self.data.element
    }

    /// Whether the bytes are as many as the shape says; `name` is for the message.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let bytes = self.shape.iter().try_fold(self.data.element.size(), |n, d| n.checked_mul(u64::try_from(*d).ok()?));
        if bytes == u64::try_from(self.data.bytes.len()).ok() {
            return Ok(());
        }
        Err(WeightsError::Bytes {
            tensor: name.to_owned(),
            shape: self.shape.clone(),
            expected: bytes.map_or("more than 2^64".into(), |n| n.to_string()),
            found: self.data.bytes.len(),
        })
    }

    /// The first and the second half of the rows (of the elements, for a vector); `None` where they are odd.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        let (rows, rest) = self.shape.split_first()?;
        if rows % 2 != 0 {
            return None;
        }
        let shape: Vec<usize> = std::iter::once(rows / 2).chain(rest.iter().copied()).collect();
        let (first, second) = self.data.bytes.split_at_checked(self.data.bytes.len() / 2)?;
        let half = |bytes: &[u8]| Self { shape: shape.clone(), data: HostData { element: self.data.element, bytes: bytes.to_vec() } };
        Some((half(first), half(second)))
    }
}

/// A weight `[out, in]` in host memory, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub enum HostWeight {
    /// Plain numbers.
    Plain(HostTensor),
    /// ggml's blocks, row by row; every row is a whole number of them.
    Blocks {
        /// Dimensions, the slowest first.
        shape: Vec<usize>,
        /// Kind of the blocks.
        block: Block,
        /// The blocks.
        bytes: Vec<u8>,
    },
    /// Numbers of four bits in groups of inputs (GPTQ, AWQ).
    Int4(Int4),
}

impl HostWeight {
    /// Dimensions, the slowest first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Plain(tensor) => &tensor.shape,
            Self::Blocks { shape, .. } => shape,
            Self::Int4(int4) => &int4.shape,
        }
    }

    /// The numbers in f32, which holds them exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::Plain(tensor) => tensor.to_f32(),
            Self::Blocks { block, bytes, .. } => {
                let mut values = Vec::with_capacity(bytes.len() / block.size() * block.len());
                block.dequantise(bytes, &mut values);
                values
            }
            Self::Int4(int4) => int4.dequantise(),
        }
    }

    /// Bytes of host memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(tensor) => tensor.data.bytes.len(),
            Self::Blocks { bytes, .. } => bytes.len(),
            Self::Int4(Int4 { codes, scales, zeros, order, .. }) => {
                codes.len() + 4 * scales.len() + zeros.len() + 4 * order.as_ref().map_or(0, Vec::len)
            }
        }
    }

    /// What it is stored as, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Plain(tensor) => tensor.element().name(),
            Self::Blocks { block, .. } => block.name(),
            Self::Int4(_) => "int4",
        }
    }

    /// As plain numbers: what is quantised becomes f32.
    pub fn into_plain(self) -> HostTensor {
        match self {
            Self::Plain(tensor) => tensor,
            quantised => {
                let data = HostData { element: Element::F32, bytes: Element::F32.encode(&quantised.to_f32()) };
                HostTensor { shape: quantised.shape().to_vec(), data }
            }
        }
    }

    /// The first and the second half of the rows; `None` where they are odd. Of int4 each half is what the whole is.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        match self {
            Self::Plain(tensor) => tensor.halves().map(|(first, second)| (Self::Plain(first), Self::Plain(second))),
            Self::Blocks { shape, block, bytes } => {
                let (rows, rest) = shape.split_first().filter(|(rows, _)| **rows % 2 == 0)?;
                let shape: Vec<usize> = std::iter::once(rows / 2).chain(rest.iter().copied()).collect();
                let (first, second) = bytes.split_at_checked(bytes.len() / 2)?;
                let half = |bytes: &[u8]| Self::Blocks { shape: shape.clone(), block: *block, bytes: bytes.to_vec() };
                Some((half(first), half(second)))
            }
            Self::Int4(int4) => {
                let [rows, cols] = int4.shape;
                if rows % 2 != 0 {
                    return None;
                }
                let half = |second: bool| {
                    fn part<T: Clone>(all: &[T], second: bool) -> Vec<T> {
                        let (a, b) = all.split_at(all.len() / 2);
                        if second { b.to_vec() } else { a.to_vec() }
                    }
                    Self::Int4(Int4 {
                        shape: [rows / 2, cols],
                        group: int4.group,
                        codes: part(&int4.codes, second),
                        scales: part(&int4.scales, second),
                        zeros: part(&int4.zeros, second),
                        order: int4.order.clone(),
                    })
                };
                Some((half(false), half(true)))
            }
        }
    }
}

impl From<HostTensor> for HostWeight {
    fn from(tensor: HostTensor) -> Self {
        Self::Plain(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_kind() {
        for element in Element::ALL {
            let tensor = HostTensor::new(&[2, 2], element, &[1.0, -2.0, 0.5, 3.0]).unwrap();
            assert_eq!(tensor.element(), element);
            assert_eq!(tensor.to_f32(), [1.0, -2.0, 0.5, 3.0]);
            let (first, second) = tensor.halves().unwrap();
            assert_eq!((first.shape, first.data.to_f32()), (vec![1, 2], vec![1.0, -2.0]));
            assert_eq!(second.to_f32(), [0.5, 3.0]);
        }
        assert!(HostTensor::new(&[3], Element::F16, &[0.0; 3]).unwrap().halves().is_none());
    }

    #[test]
    fn shape_and_bytes_must_agree() {
        assert!(matches!(HostTensor::new(&[2, 3], Element::F32, &[0.0; 5]), Err(WeightsError::Bytes { found: 20, .. })));
        assert!(HostTensor::new(&[usize::MAX, 3], Element::F32, &[]).is_err());
    }
}
