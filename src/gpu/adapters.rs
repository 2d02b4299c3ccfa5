//! Finding an adapter, and saying why it was chosen.

use crate::error::Error;
use crate::shader::matmul::{Capabilities, Matrices};

/// Which adapter is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only adapters of this backend.
    pub backend: Option<wgpu::Backend>,
    /// An index into [`list`], or part of the adapter's name in any case.
    pub adapter: Option<String>,
}

/// A chosen adapter.
#[derive(Debug)]
pub struct Choice {
    /// The adapter.
    pub adapter: wgpu::Adapter,
    /// Why this one.
    pub reason: String,
}

impl Selection {
    /// The backends that are looked at.
    pub fn backends(&self) -> wgpu::Backends {
        self.backend.map_or(wgpu::Backends::PRIMARY | wgpu::Backends::GL, wgpu::Backends::from)
    }

    fn wanted(&self) -> String {
        let backend = self.backend.map_or("any backend".into(), |b| format!("backend {b:?}").to_lowercase());
        self.adapter.as_ref().map_or(backend.clone(), |adapter| format!("`{adapter}` on {backend}"))
    }

    /// Chooses: what was asked for; else discrete before integrated before virtual before software, and
    /// among equals the backends in the order Vulkan, Metal, DX12, GL.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what there is.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn choose(&self) -> Result<Choice, Error> {
        super::wait::block_on(self.choose_async())
    }

    /// The same where a thread must not block.
    ///
    /// # Errors
    /// As [`Selection::choose`].
    pub async fn choose_async(&self) -> Result<Choice, Error> {
        // GL's libraries talk on stderr and rasterise in software; it is the last resort, or asked for.
        if self.backend.is_none() && self.adapter.is_none() {
            let adapters = list_async(wgpu::Backends::PRIMARY).await;
            if !adapters.is_empty() {
                return self.choose_from(adapters);
            }
        }
        self.choose_from(list_async(self.backends()).await)
    }

    /// The same among these adapters, which are all that there are.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what there is.
    pub fn choose_from(&self, adapters: Vec<wgpu::Adapter>) -> Result<Choice, Error> {
        let available =
            || if adapters.is_empty() { "none".to_owned() } else { adapters.iter().map(describe).collect::<Vec<_>>().join("; ") };
        let none = || Error::NoAdapter { wanted: self.wanted(), available: available() };
        let (index, reason) = match &self.adapter {
            None => {
                let (index, adapter) = adapters.iter().enumerate().min_by_key(|(i, a)| (rank(a), *i)).ok_or_else(none)?;
                (index, format!("{}, the best that was found", kind(&adapter.get_info())))
            }
            Some(wanted) => {
                // `3090` is a name where there are fewer adapters than that.
                let index = wanted.parse::<usize>().ok().filter(|index| *index < adapters.len());
                let named = || adapters.iter().position(|a| a.get_info().name.to_lowercase().contains(&wanted.to_lowercase()));
                let index = index.or_else(named);
                (index.ok_or_else(none)?, format!("asked for by `{wanted}`"))
            }
        };
        let adapter =
            adapters.into_iter().nth(index).ok_or_else(|| Error::NoAdapter { wanted: self.wanted(), available: "none".into() })?;
        Ok(Choice { adapter, reason })
    }
}

/// Every adapter of these backends, in the order of their indices.
#[cfg(not(target_arch = "wasm32"))]
pub fn list(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let found = |backends| super::wait::block_on(instance(backends).enumerate_adapters(backends));
    // GL has one context for all adapters of an instance, which each of them locks for itself alone: two of them in two
    // threads, or looking for them again, would take it from each other. Found once, they are the same adapters everywhere.
    static GL: std::sync::OnceLock<Vec<wgpu::Adapter>> = std::sync::OnceLock::new();
    let gl = backends & wgpu::Backends::GL;
    let (others, gl) = (backends - gl, if gl.is_empty() { &[][..] } else { GL.get_or_init(|| found(gl)) });
    found(others).into_iter().chain(gl.iter().cloned()).collect()
}

/// The same where a thread must not block; natively that takes no waiting. A browser shows one, the fastest by its own judgement.
#[cfg(not(target_arch = "wasm32"))]
pub async fn list_async(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    list(backends)
}

/// The adapter that the browser judges the fastest, if it has any.
#[cfg(target_arch = "wasm32")]
pub async fn list_async(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let fastest = wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance(backends).request_adapter(&fastest).await.into_iter().collect()
}

/// One instance for each set of backends: devices of one instance tell each other's buffers apart.
#[cfg(not(target_arch = "wasm32"))]
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    use std::sync::{Mutex, PoisonError};
    static INSTANCES: Mutex<Vec<(wgpu::Backends, wgpu::Instance)>> = Mutex::new(Vec::new());
    let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, instance)) = instances.iter().find(|(known, _)| *known == backends) {
        return instance.clone();
    }
    let instance = new_instance(backends);
    instances.push((backends, instance.clone()));
    instance
}

/// A browser has one for all of a page.
#[cfg(target_arch = "wasm32")]
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    new_instance(backends)
}

fn new_instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = backends;
    wgpu::Instance::new(descriptor)
}

/// Name, backend and driver in one line.
pub fn describe(adapter: &wgpu::Adapter) -> String {
    let info = adapter.get_info();
    format!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info).replace(" )", ")")
}

/// Whether an adapter computes on the CPU.
pub fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu || info.name.starts_with("llvmpipe")
}

/// What matrix kernels may use of a device of this adapter with these limits and features. `cooperative` counts only with
/// its features.
pub fn capabilities(
    info: &wgpu::AdapterInfo,
    limits: &wgpu::Limits,
    features: wgpu::Features,
    cooperative: Option<Matrices>,
) -> Capabilities {
    Capabilities {
        software: is_software(info),
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup,
        wide: is_software(info) && features.contains(wgpu::Features::SHADER_INT64),
        subgroup: features.contains(wgpu::Features::SUBGROUP).then_some((info.subgroup_min_size, info.subgroup_max_size)),
        cooperative: cooperative.filter(|_| features.contains(COOPERATIVE)),
    }
}

/// What cooperative kernels need.
pub(super) const COOPERATIVE: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16);

/// The largest cooperative matrices of f16 with f32 sums. The feature alone says nothing: an adapter may have it for shapes
/// and kinds that no kernel can name.
pub fn matrices(adapter: &wgpu::Adapter) -> Option<Matrices> {
    if !adapter.features().contains(COOPERATIVE) {
        return None;
    }
    let (f16, f32) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let square = |tile: u32| {
        adapter
            .cooperative_matrix_properties()
            .iter()
            .any(|p| p.m_size == tile && p.n_size == tile && p.k_size == tile && p.ab_type == f16 && p.cr_type == f32)
    };
    let tile = [16, 8].into_iter().find(|tile| square(*tile))?;
    Some(Matrices { tile, lanes: adapter.get_info().subgroup_max_size.max(1) })
}

fn kind(info: &wgpu::AdapterInfo) -> &'static str {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "a discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "an integrated GPU",
        wgpu::DeviceType::VirtualGpu => "a virtual GPU",
        wgpu::DeviceType::Cpu => "a software adapter",
        wgpu::DeviceType::Other => "of unknown type",
    }
}

fn rank(adapter: &wgpu::Adapter) -> u8 {
    let info = adapter.get_info();
    let device = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    // GL reports software rasterisers as `Other`; it comes last whatever it says.
    device + if info.backend == wgpu::Backend::Gl { 10 } else { 0 }
}
