//! Tensors in the middle of a buffer whose every other byte is known.

use ffwd::{Element, Gpu, Tensor};

/// Elements before the tensor (at offset 0) and after it: more than any vector, word or binding alignment.
pub const GUARD: usize = 64;

/// A NaN in every kind, with a payload that no kernel makes; the two halves of a word differ.
const SENTINEL: [u8; 4] = 0x7fed_7fef_u32.to_le_bytes();

/// A tensor between two guard bands.
pub struct Guarded {
    pub tensor: Tensor,
    whole: Tensor,
    start: usize,
    fresh: bool,
}

impl Guarded {
    /// An output: the sentinel inside and out. `offset` elements move it off the buffer's alignment.
    pub fn output(gpu: &Gpu, shape: &[usize], element: Element, offset: usize) -> Self {
        Self::make(gpu, None, shape, element, offset)
    }

    /// An operand with these values, which may be overwritten in place.
    pub fn holding(gpu: &Gpu, values: &[f32], shape: &[usize], element: Element, offset: usize) -> Self {
        Self::make(gpu, Some(element.encode(values)), shape, element, offset)
    }

    fn make(gpu: &Gpu, inside: Option<Vec<u8>>, shape: &[usize], element: Element, offset: usize) -> Self {
        let len: usize = shape.iter().product();
        let (start, size) = (GUARD + offset, element.size() as usize);
        let mut bytes = sentinel(start + len + GUARD, size);
        let fresh = inside.is_none();
        if let Some(inside) = inside {
            bytes[start * size..(start + len) * size].copy_from_slice(&inside);
        }
        let whole = gpu.tensor_from_bytes(&bytes, &[start + len + GUARD], element).unwrap();
        let tensor = whole.view(start, shape).unwrap();
        Self { tensor, whole, start, fresh }
    }

    /// Puts these bytes of the tensor back, in whole words with what lies beside them.
    pub fn restore(&self, gpu: &Gpu, bytes: &[u8]) {
        let size = self.whole.element().size() as usize;
        let mut all = sentinel(self.whole.len(), size);
        all[self.start * size..][..bytes.len()].copy_from_slice(bytes);
        all.resize(all.len().next_multiple_of(4), 0);
        gpu.queue().write_buffer(self.whole.buffer(), 0, &all);
    }

    /// The elements; or what is wrong: a guard's byte changed, or (of an output) an element was left as it was.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn check(&self, gpu: &Gpu) -> Result<Vec<f32>, String> {
        pollster::block_on(self.check_async(gpu))
    }

    /// The same where a thread must not block.
    pub async fn check_async(&self, gpu: &Gpu) -> Result<Vec<f32>, String> {
        let element = self.whole.element();
        let size = element.size() as usize;
        let bytes = gpu.read_bytes_async(&self.whole).await.map_err(|error| error.to_string())?;
        let want = sentinel(self.whole.len(), size);
        let inside = self.start..self.start + self.tensor.len();
        for i in 0..self.whole.len() {
            let (found, want) = (&bytes[i * size..(i + 1) * size], &want[i * size..(i + 1) * size]);
            let place = i as i64 - self.start as i64;
            if !inside.contains(&i) && found != want {
                return Err(format!("guard band: element {place} of {:?} became {found:02x?}", self.tensor.shape()));
            }
            if inside.contains(&i) && self.fresh && found == want {
                return Err(format!("element {place} of {:?} was not written", self.tensor.shape()));
            }
        }
        Ok(element.decode(&bytes[inside.start * size..inside.end * size]))
    }

    /// As [`Guarded::check`]; a fault fails the test.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&self, gpu: &Gpu, what: &str) -> Vec<f32> {
        self.check(gpu).unwrap_or_else(|fault| panic!("{what}: {fault}"))
    }
}

fn sentinel(len: usize, size: usize) -> Vec<u8> {
    SENTINEL.into_iter().cycle().take(len * size).collect()
}
