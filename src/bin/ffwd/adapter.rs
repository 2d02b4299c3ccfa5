//! Which adapter to use.

use clap::{Args, ValueEnum};
use ffwd::Gpu;
use ffwd::gpu::{Choice, Selection, describe};
use ffwd::wgpu;

use crate::error::CliError;

/// Options that choose the adapter.
#[derive(Debug, Args)]
pub struct AdapterArgs {
    /// Adapter to use: its index in `ffwd devices`, or part of its name
    #[arg(long, global = true, value_name = "INDEX|NAME")]
    adapter: Option<String>,
    /// Use only adapters of this backend
    #[arg(long, global = true, value_enum)]
    backend: Option<Backend>,
    /// Open the adapter with WebGPU's default limits and no optional feature: what every browser grants
    #[arg(long, global = true)]
    default_limits: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Backend {
    Vulkan,
    Metal,
    Dx12,
    Gl,
}

impl AdapterArgs {
    /// In the library's terms.
    pub fn selection(&self) -> Selection {
        let backend = self.backend.map(|backend| match backend {
            Backend::Vulkan => wgpu::Backend::Vulkan,
            Backend::Metal => wgpu::Backend::Metal,
            Backend::Dx12 => wgpu::Backend::Dx12,
            Backend::Gl => wgpu::Backend::Gl,
        });
        Selection { backend, adapter: self.adapter.clone() }
    }

    /// Opens the adapter.
    pub fn open(&self) -> Result<Gpu, CliError> {
        self.device(&self.selection().choose()?)
    }

    /// Opens the adapter, and tells which it is and why it was chosen.
    pub fn open_described(&self) -> Result<(Gpu, String, String), CliError> {
        let choice = self.selection().choose()?;
        let limits = if self.default_limits { ", with WebGPU's default limits" } else { "" };
        Ok((self.device(&choice)?, format!("{}{limits}", describe(&choice.adapter)), choice.reason))
    }

    fn device(&self, choice: &Choice) -> Result<Gpu, CliError> {
        Ok(if self.default_limits { Gpu::least_capable(&choice.adapter)? } else { Gpu::from_choice(choice)? })
    }
}
