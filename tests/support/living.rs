//! What lives on a device, as wgpu counts it under everything that the crate says of itself.

use ffwd::Gpu;
use ffwd::wgpu::{self, BufferUsages};

use super::{adapter, guest};

/// What lives on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Living {
    pub buffers: isize,
    pub bytes: isize,
    pub bind_groups: isize,
}

impl Living {
    /// Right now, with what wgpu has not let go of yet.
    pub fn now(gpu: &Gpu) -> Self {
        let counters = gpu.device().get_internal_counters().hal;
        Self { buffers: counters.buffers.read(), bytes: counters.buffer_memory.read(), bind_groups: counters.bind_groups.read() }
    }

    /// When uploads are done and what they went through is gone.
    pub fn settled(gpu: &Gpu) -> Self {
        gpu.queue().submit([]);
        gpu.wait().unwrap();
        Self::now(gpu)
    }

    pub fn since(self, start: Self) -> Self {
        Self { buffers: self.buffers - start.buffers, bytes: self.bytes - start.bytes, bind_groups: self.bind_groups - start.bind_groups }
    }
}

/// A device of one's own.
pub fn open() -> Gpu {
    let adapter = adapter();
    guest(&adapter, adapter.limits(), Gpu::wanted_features(&adapter))
}

/// Whether bytes are counted; Metal and GL count buffers alone.
pub fn counts_bytes(gpu: &Gpu) -> bool {
    matches!(gpu.info().backend, wgpu::Backend::Vulkan | wgpu::Backend::Dx12)
}

/// Bytes that the driver takes for a buffer of this size, where they are counted.
pub fn taken(gpu: &Gpu, size: u64, usage: BufferUsages) -> isize {
    let start = Living::settled(gpu);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let bytes = Living::now(gpu).since(start).bytes;
    drop(buffer);
    assert!(if counts_bytes(gpu) { bytes >= size as isize } else { bytes == 0 }, "{bytes} bytes counted for a buffer of {size}");
    bytes
}
