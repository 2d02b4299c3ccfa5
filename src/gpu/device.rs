//! A device with its queue, its limits, and the pipelines compiled for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::adapters::{COOPERATIVE, Choice, Selection};
use crate::error::Error;
use crate::shader::matmul::{Capabilities, Matrices};
use crate::shader::{Access, Kernel};
use crate::tuning::Cache;

/// A wgpu device, its queue, and a cache of pipelines. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gpu(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    cooperative: Option<Matrices>,
    pipelines: Mutex<HashMap<String, Arc<wgpu::ComputePipeline>>>,
    /// Read from the user's file when first asked for.
    tuned: Mutex<Option<Cache>>,
    #[cfg(target_arch = "wasm32")]
    untold: super::wait::Untold,
}

impl Gpu {
    /// Features that are used where the adapter has them: timestamps, and subgroups but for Metal, where asking for them is
    /// said to slow every kernel down, and 64-bit integers on the CPU. Every operation runs without any. [`Gpu::open`] asks for cooperative matrices, too,
    /// where the adapter has any that a kernel can name; that takes a word of `unsafe`, since they are experimental.
    pub fn wanted_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        let (info, mut wanted) = (adapter.get_info(), wgpu::Features::TIMESTAMP_QUERY);
        wanted.set(wgpu::Features::SUBGROUP, info.backend != wgpu::Backend::Metal);
        wanted.set(wgpu::Features::SHADER_INT64, super::adapters::is_software(&info));
        adapter.features() & wanted
    }

    /// Opens the chosen adapter with all its limits.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::Device`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(selection: &Selection) -> Result<Self, Error> {
        super::wait::block_on(Self::open_async(selection))
    }

    /// The same where a thread must not block, as in a browser.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_async(selection: &Selection) -> Result<Self, Error> {
        Self::from_choice_async(&selection.choose_async().await?).await
    }

    /// Opens this adapter with all its limits.
    ///
    /// # Errors
    /// [`Error::Device`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn from_choice(choice: &Choice) -> Result<Self, Error> {
        super::wait::block_on(Self::from_choice_async(choice))
    }

    /// The same where a thread must not block.
    ///
    /// # Errors
    /// As [`Gpu::from_choice`].
    pub async fn from_choice_async(choice: &Choice) -> Result<Self, Error> {
        let cooperative = if super::adapters::matrices(&choice.adapter).is_some() { COOPERATIVE } else { wgpu::Features::empty() };
        Self::with_limits(&choice.adapter, Self::wanted_features(&choice.adapter) | cooperative, choice.adapter.limits()).await
    }

    /// Opens this adapter with WebGPU's default limits and no optional feature: what every browser grants.
    ///
    /// # Errors
    /// [`Error::Device`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn least_capable(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        super::wait::block_on(Self::least_capable_async(adapter))
    }

    /// The same where a thread must not block.
    ///
    /// # Errors
    /// As [`Gpu::least_capable`].
    pub async fn least_capable_async(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        let limits = wgpu::Limits::default().or_worse_values_from(&adapter.limits());
        Self::with_limits(adapter, wgpu::Features::empty(), limits).await
    }

    async fn with_limits(adapter: &wgpu::Adapter, required_features: wgpu::Features, required_limits: wgpu::Limits) -> Result<Self, Error> {
        let experimental = required_features.intersects(wgpu::Features::all_experimental_mask());
        let experimental_features = if experimental { permitted() } else { wgpu::ExperimentalFeatures::disabled() };
        let descriptor =
            wgpu::DeviceDescriptor { label: Some("ffwd"), required_features, required_limits, experimental_features, ..Default::default() };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Device { adapter: adapter.get_info().name, reason: error.to_string() })?;
        Ok(Self::from_parts_with(device, queue, super::adapters::matrices(adapter)))
    }

    /// A guest on the caller's device. Nothing is requested of it; what the kernels may use is read from it.
    pub fn from_parts(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::from_parts_with(device, queue, None)
    }

    /// The same, on a device whose adapter multiplies these cooperative matrices: [`matrices`](super::matrices) of the adapter,
    /// which a device does not tell. They are used if the device has the features, too.
    pub fn from_parts_with(device: wgpu::Device, queue: wgpu::Queue, cooperative: Option<Matrices>) -> Self {
        let (info, limits) = (device.adapter_info(), device.limits());
        Self(Arc::new(Inner {
            device,
            queue,
            info,
            limits,
            cooperative,
            pipelines: Mutex::default(),
            tuned: Mutex::default(),
            #[cfg(target_arch = "wasm32")]
            untold: Default::default(),
        }))
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// The adapter's name, driver and backend.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// The device's limits.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Whether the adapter computes on the CPU.
    pub fn is_software(&self) -> bool {
        super::adapters::is_software(&self.0.info)
    }

    /// What matrix kernels may use here.
    pub fn capabilities(&self) -> Capabilities {
        super::adapters::capabilities(self.info(), self.limits(), self.device().features(), self.0.cooperative)
    }

    /// What tells this adapter's measurements from those of others: its name, backend and driver, what kernels may use of
    /// it, and the version of this crate.
    pub fn tuning_key(&self) -> String {
        let wgpu::AdapterInfo { name, backend, driver, driver_info, .. } = self.info();
        let Capabilities { workgroup_bytes, invocations, wide, subgroup, cooperative, .. } = self.capabilities();
        let lanes = subgroup.map_or("none".into(), |(least, most)| format!("{least}-{most}"));
        let tile = cooperative.map_or(0, |matrices| matrices.tile);
        let version = env!("CARGO_PKG_VERSION");
        format!("{name} | {backend:?} | {driver} {driver_info} | {workgroup_bytes} {invocations} {wide} {lanes} {tile} | ffwd {version}")
    }

    /// Reads or changes what was measured on this adapter.
    pub(crate) fn tuned<T>(&self, with: impl FnOnce(&mut Cache) -> T) -> T {
        let mut tuned = self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner);
        with(tuned.get_or_insert_with(|| Cache::open(Cache::default_path(), &self.tuning_key())))
    }

    /// Keeps measurements in this file from now on, or with `None` only in this process, instead of the user's file.
    pub fn set_tuning_file(&self, path: Option<std::path::PathBuf>) {
        let cache = Cache::open(path, &self.tuning_key());
        *self.0.tuned.lock().unwrap_or_else(PoisonError::into_inner) = Some(cache);
    }

    /// What error scopes have yet to tell.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn untold(&self) -> &super::wait::Untold {
        &self.0.untold
    }

    /// The kernel's pipeline, compiled on first use.
    pub(crate) fn pipeline(&self, kernel: &Kernel) -> Result<Arc<wgpu::ComputePipeline>, Error> {
        let lock = || self.0.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = lock().get(&kernel.wgsl) {
            return Ok(pipeline.clone());
        }
        log::debug!("compiling {}", kernel.name);
        let pipeline = Arc::new(self.compile(kernel)?);
        Ok(lock().entry(kernel.wgsl.clone()).or_insert(pipeline).clone())
    }

    fn compile(&self, kernel: &Kernel) -> Result<wgpu::ComputePipeline, Error> {
        let device = self.device();
        let storage = kernel.bindings.iter().filter(|b| b.access != Access::Uniform).count() as u64;
        let allowed = u64::from(self.limits().max_storage_buffers_per_shader_stage);
        if storage > allowed {
            return Err(Error::Limit { what: "storage buffers of a kernel", required: storage, allowed });
        }
        // A driver that fails to compile says so as an internal error.
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(&kernel.name), source: wgpu::ShaderSource::Wgsl(kernel.wgsl.as_str().into()) };
        let checks =
            wgpu::ShaderRuntimeChecks { force_loop_bounding: false, int_div_checks: kernel.custom, ..wgpu::ShaderRuntimeChecks::checked() };
        // SAFETY: at most two checks are off. Loop bounding: every loop in shaders/ and in rendered text counts up by a
        // positive step (a constant, or a number of subgroups that is at least 1) to a bound that does not change inside
        // it and lies far enough below 2^32 for the last step not to wrap (no tensor has more than
        // `Tensor::MOST_ELEMENTS`), or halves a constant down to 0 (matmul/tree.wgsl); an expression of a user's holds
        // no statement, so no loop.
        // Integer division: every divisor of ours is a constant or a field of `params` that the host sets to at
        // least 1 (`ops`, `train/options.rs`), and no dividend is signed; where a user's expression is linked the check stays on.
        // Bounds checks stay on everywhere.
        #[allow(unsafe_code, reason = "wgpu offers these options only through an unsafe function")]
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        let entries: Vec<_> = kernel.bindings.iter().zip(0..).map(|(binding, index)| layout_entry(binding.access, index)).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&kernel.name), entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&kernel.name),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&kernel.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // Kernels write workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
            cache: None,
        });
        let refused = |name: String| move |error: &wgpu::Error| gpu_error(&format!("compiling {name}"), error);
        let validated = self.close(validation, refused(kernel.name.clone()));
        self.close(internal, refused(kernel.name.clone()))?;
        validated.map(|()| pipeline)
    }
}

fn permitted() -> wgpu::ExperimentalFeatures {
    // SAFETY: what is permitted is what `Gpu::from_choice` asks for, and of experimental features that is cooperative
    // matrices alone. Their kernels (shader/matmul/cooperative.rs) load and store whole tiles of workgroup arrays whose
    // sizes are constants of the same text, at multiples of a tile, so none reaches past an end; the tile's size and kinds
    // are ones that the adapter lists; and the tuner, without which they are not chosen, compares them with other kernels.
    #[allow(unsafe_code, reason = "wgpu permits experimental features only through an unsafe function")]
    unsafe {
        wgpu::ExperimentalFeatures::enabled()
    }
}

pub(super) fn gpu_error(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Gpu { what: what.into(), reason: error.to_string() }
}

fn layout_entry(access: Access, binding: u32) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}
