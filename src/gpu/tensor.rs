//! Tensors: a shape and a kind of element over a part of a buffer.

use super::device::{Gpu, gpu_error};
use crate::element::Element;
use crate::error::Error;

/// Row-major elements somewhere in a `wgpu::Buffer`. Clones share the buffer. A tensor is of use on the device that
/// made its buffer, and on no other.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    buffer: wgpu::Buffer,
    offset: u64,
    shape: Vec<usize>,
    element: Element,
}

impl Tensor {
    /// Most elements of an operand: kernels count in `u32`, with room for the last workgroup's rest.
    pub const MOST_ELEMENTS: u64 = 1 << 31;

    /// A tensor in the caller's buffer, from element number `offset` on (any number, also inside a word).
    ///
    /// # Errors
    /// [`Error::TooSmall`]; [`Error::Usage`] where the buffer lacks `STORAGE`.
    pub fn from_buffer(buffer: &wgpu::Buffer, offset: u64, shape: &[usize], element: Element) -> Result<Self, Error> {
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(Error::Usage { operand: "buffer", missing: "STORAGE".into() });
        }
        let required = elements(shape)
            .and_then(|len| len.checked_add(offset))
            .and_then(|len| len.checked_mul(element.size()))
            // Bindings are whole words.
            .and_then(|size| size.checked_next_multiple_of(4))
            .unwrap_or(u64::MAX);
        if required > buffer.size() {
            return Err(Error::TooSmall { operand: "buffer", shape: shape.to_vec(), element, offset, required, actual: buffer.size() });
        }
        Ok(Self { buffer: buffer.clone(), offset, shape: shape.to_vec(), element })
    }

    /// A part of this tensor: `shape` from element number `start` on.
    ///
    /// # Errors
    /// [`Error::Shape`] where it would reach past the end.
    pub fn view(&self, start: usize, shape: &[usize]) -> Result<Self, Error> {
        let end = elements(shape).and_then(|len| len.checked_add(start as u64));
        if end.is_none_or(|end| end > self.len() as u64) {
            let expected = format!("at least {start} + {shape:?} elements");
            return Err(Error::Shape { operand: "view", expected, actual: self.shape.clone() });
        }
        Ok(Self { offset: self.offset + start as u64, shape: shape.to_vec(), ..self.clone() })
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self, Error> {
        if elements(shape) != Some(self.len() as u64) {
            return Err(Error::Shape {
                operand: "reshape",
                expected: format!("as many elements as {shape:?}"),
                actual: self.shape.clone(),
            });
        }
        self.view(0, shape)
    }

    /// The buffer it lies in.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Number of its first element in the buffer.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its shape, row-major.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Kind of its elements.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of its elements.
    pub fn bytes(&self) -> u64 {
        self.len() as u64 * self.element.size()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As rows and columns: the last dimension, and the product of the others.
    pub fn rows_cols(&self) -> (usize, usize) {
        let cols = self.shape.last().copied().unwrap_or(1);
        (self.shape.iter().rev().skip(1).product(), cols)
    }

    /// Whether two tensors share elements.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let range = |t: &Self| (t.offset * t.element.size(), (t.offset + t.len() as u64) * t.element.size());
        let ((a, a_end), (b, b_end)) = (range(self), range(other));
        self.buffer == other.buffer && a < b_end && b < a_end
    }

    pub(crate) fn same_elements(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.offset == other.offset && self.element == other.element && self.len() == other.len()
    }

    pub(crate) fn expect_element(&self, operand: &'static str, expected: Element) -> Result<(), Error> {
        if self.element == expected { Ok(()) } else { Err(Error::Kind { operand, expected, actual: self.element }) }
    }

    pub(crate) fn expect_shape(&self, operand: &'static str, shape: &[usize]) -> Result<(), Error> {
        if self.shape == shape {
            return Ok(());
        }
        Err(Error::Shape { operand, expected: format!("{shape:?}"), actual: self.shape.clone() })
    }
}

/// Elements of a shape; `None` where they cannot be counted.
fn elements(shape: &[usize]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |product, &n| product.checked_mul(n as u64))
}

impl Gpu {
    /// Bytes after which an upload is submitted: its copies are let go of as the device gets through them.
    pub const PIECE: usize = 1 << 20;

    /// A new tensor whose elements are 0.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::OutOfMemory`].
    pub fn zeros(&self, shape: &[usize], element: Element) -> Result<Tensor, Error> {
        let size = elements(shape).and_then(|len| len.checked_mul(element.size())).unwrap_or(u64::MAX - 15);
        // A multiple of 16, so that the last vector is whole; never empty, since bindings cannot be.
        let size = size.div_ceil(16).max(1) * 16;
        let buffer =
            self.buffer("tensor", size, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST)?;
        Tensor::from_buffer(&buffer, 0, shape, element)
    }

    pub(crate) fn buffer(&self, what: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, Error> {
        let allowed = self.limits().max_buffer_size;
        if size > allowed {
            return Err(Error::Limit { what: "bytes of a buffer", required: size, allowed });
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false });
        let what = what.to_owned();
        self.close(scope, move |_| Error::OutOfMemory { what, requested: size })?;
        Ok(buffer)
    }

    /// Sets the whole buffer of `tensor` to 0.
    pub(crate) fn clear(&self, tensor: &Tensor) {
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(&tensor.buffer, 0, None);
        self.queue().submit([encoder.finish()]);
    }

    /// A new tensor from numbers, rounded to `element`.
    ///
    /// # Errors
    /// As [`Gpu::zeros`]; [`Error::Shape`] where the shape does not match the data.
    pub fn tensor(&self, data: &[f32], shape: &[usize], element: Element) -> Result<Tensor, Error> {
        // They are bytes already.
        if element == Element::F32 {
            return self.tensor_from_bytes(bytemuck::cast_slice(data), shape, element);
        }
        self.tensor_from_bytes(&element.encode(data), shape, element)
    }

    /// A new tensor from little-endian elements. Submits every [`Gpu::PIECE`] bytes of them, and waits for nothing.
    ///
    /// # Errors
    /// As [`Gpu::tensor`].
    pub fn tensor_from_bytes(&self, bytes: &[u8], shape: &[usize], element: Element) -> Result<Tensor, Error> {
        let tensor = self.zeros(shape, element)?;
        let len = bytes.len() as u64 / element.size();
        if len != tensor.len() as u64 || !(bytes.len() as u64).is_multiple_of(element.size()) {
            return Err(Error::Shape { operand: "data", expected: format!("{len} elements"), actual: shape.to_vec() });
        }
        // Writes are in whole words; the buffer is long enough for the padding.
        let whole = bytes.len() / 4 * 4;
        for (piece, start) in bytes[..whole].chunks(Self::PIECE).zip((0_u64..).step_by(Self::PIECE)) {
            self.queue().write_buffer(tensor.buffer(), start, piece);
            // wgpu keeps a copy of what it has not submitted: without this, of all of a model's weights.
            if piece.len() == Self::PIECE {
                self.queue().submit([]);
            }
        }
        if whole < bytes.len() {
            let mut word = [0; 4];
            word[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.queue().write_buffer(tensor.buffer(), whole as u64, &word);
        }
        Ok(tensor)
    }

    /// Waits for the tensor's value and copies it to the CPU.
    ///
    /// # Errors
    /// [`Error::Usage`] where the buffer lacks `COPY_SRC`; [`Error::Gpu`] where the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_back(&self, tensor: &Tensor) -> Result<Vec<f32>, Error> {
        super::wait::block_on(self.read_back_async(tensor))
    }

    /// The same where a thread must not block.
    ///
    /// # Errors
    /// As [`Gpu::read_back`]; in a browser also what the device refused since the last wait.
    pub async fn read_back_async(&self, tensor: &Tensor) -> Result<Vec<f32>, Error> {
        Ok(tensor.element.decode(&self.read_bytes_async(tensor).await?))
    }

    /// The same as little-endian elements.
    ///
    /// # Errors
    /// As [`Gpu::read_back`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_bytes(&self, tensor: &Tensor) -> Result<Vec<u8>, Error> {
        super::wait::block_on(self.read_bytes_async(tensor))
    }

    /// The same where a thread must not block.
    ///
    /// # Errors
    /// As [`Gpu::read_back_async`].
    pub async fn read_bytes_async(&self, tensor: &Tensor) -> Result<Vec<u8>, Error> {
        if !tensor.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            return Err(Error::Usage { operand: "tensor", missing: "COPY_SRC".into() });
        }
        let size = tensor.element.size();
        let start = tensor.offset * size;
        let end = start + tensor.len() as u64 * size;
        // Copies are in whole words.
        let first = start / 4 * 4;
        let span = ((end - first).div_ceil(4) * 4).min(tensor.buffer.size() - first);
        if tensor.is_empty() {
            return Ok(Vec::new());
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let staging = self.buffer("read back", span, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&tensor.buffer, first, &staging, 0, span);
        self.queue().submit([encoder.finish()]);
        // A buffer of another device, say.
        self.close(scope, |error| gpu_error("reading back", error))?;
        self.told().await?;
        self.map(&staging, "reading back").await?;
        let mapped = staging.get_mapped_range(..).map_err(|error| gpu_error("reading back", &error))?;
        let inside = (start - first) as usize..(end - first) as usize;
        Ok(mapped[inside].to_vec())
    }
}
