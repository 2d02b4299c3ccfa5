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
        }
    }

    #[test]
    fn shape_and_bytes_must_agree() {
        assert!(matches!(HostTensor::new(&[2, 3], Element::F32, &[0.0; 5]), Err(WeightsError::Bytes { found: 20, .. })));
        assert!(HostTensor::new(&[usize::MAX, 3], Element::F32, &[]).is_err());
    }
}
