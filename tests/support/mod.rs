//! What the integration tests share: devices, guarded outputs, a comparator, and inputs.
#![allow(dead_code, unused_imports, reason = "every test binary uses its own part")]

mod compare;
pub mod conformance;
pub mod gate;
mod guarded;
mod inputs;
pub mod layer;
pub mod living;
pub mod mixture;
pub mod product;
pub mod quantised;
pub mod replica;
pub mod subject;

use std::sync::OnceLock;

use ffwd::gpu::Selection;
use ffwd::{Gpu, wgpu};

pub use compare::{half_unit, judge, same_bits, sum_bound};
pub use guarded::{GUARD, Guarded};
pub use inputs::{inputs, numbers, regression, rounded};

/// A device that everything is tested on.
pub struct Device {
    pub name: &'static str,
    pub gpu: Gpu,
}

/// The default adapter with all that it offers, and with what every browser grants. No adapter is a failure: a test that
/// did not run must not look like one that passed.
pub fn devices() -> &'static [Device; 2] {
    static DEVICES: OnceLock<[Device; 2]> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let adapter = adapter();
        let open = |name, limits, features| Device { name, gpu: guest(&adapter, limits, features) };
        let full = open("all limits", adapter.limits(), Gpu::wanted_features(&adapter));
        let least = Device { name: "default limits", gpu: Gpu::least_capable(&adapter).unwrap() };
        [full, least]
    })
}

/// The device with all limits, where one is enough.
pub fn gpu() -> &'static Gpu {
    &devices()[0].gpu
}

/// The default adapter, or that of the backend which FFWD_TEST_BACKEND names (`scripts/adapters` runs the tests of kernels on each).
pub fn adapter() -> wgpu::Adapter {
    let backend = std::env::var("FFWD_TEST_BACKEND").ok().map(|name| match name.as_str() {
        "vulkan" => wgpu::Backend::Vulkan,
        "metal" => wgpu::Backend::Metal,
        "dx12" => wgpu::Backend::Dx12,
        "gl" => wgpu::Backend::Gl,
        _ => panic!("FFWD_TEST_BACKEND is `{name}`, and can be vulkan, metal, dx12 or gl"),
    });
    match (Selection { backend, adapter: None }).choose() {
        Ok(choice) => choice.adapter,
        Err(error) => panic!("{error}. Run `scripts/with-adapter cargo test --release`, which installs one"),
    }
}

/// A device made with wgpu alone, as someone who uses the crate as a guest makes theirs.
pub fn guest(adapter: &wgpu::Adapter, required_limits: wgpu::Limits, required_features: wgpu::Features) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor { label: Some("guest"), required_features, required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_parts(device, queue)
}
