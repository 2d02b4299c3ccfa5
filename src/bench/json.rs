//! The report for programs.

use serde_json::{Value, json};

use super::{Ceilings, Measurement, Report, Skipped};

impl Report {
    /// As JSON; this module's documentation has the schema.
    pub fn to_json(&self) -> Value {
        let adapter = &self.adapter;
        let limits = &self.limits;
        json!({
            "schema": "ffwd-bench/1",
            "version": env!("CARGO_PKG_VERSION"),
            "date": self.date,
            "quick": self.quick,
            "adapter": adapter.name,
            "backend": format!("{:?}", adapter.backend).to_lowercase(),
            "device_type": device_type(adapter.device_type),
            "driver": adapter.driver,
            "driver_info": adapter.driver_info,
            "software": self.software,
            "features": self.features.iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
            "limits": {
                "max_buffer_size": limits.max_buffer_size,
                "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
                "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
                "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
                "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
                "subgroup_min_size": adapter.subgroup_min_size,
                "subgroup_max_size": adapter.subgroup_max_size,
            },
            "host": {
                "os": std::env::consts::OS,
                "arch": std::env::consts::ARCH,
                "threads": std::thread::available_parallelism().map_or(1, usize::from),
            },
            "clock": self.clock.name(),
            "ceilings": self.ceilings.to_json(),
            "workloads": self.workloads.iter().map(Measurement::to_json).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(Skipped::to_json).collect::<Vec<_>>(),
        })
    }
}

const fn device_type(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete_gpu",
        wgpu::DeviceType::IntegratedGpu => "integrated_gpu",
        wgpu::DeviceType::VirtualGpu => "virtual_gpu",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    }
}

impl Ceilings {
    fn to_json(&self) -> Value {
        json!({
            "copy_bytes_per_second": self.copy_bytes,
            "f32_flops_per_second": self.f32_flops,
            "cooperative_flops_per_second": self.cooperative_flops,
            "dispatch_seconds": self.dispatch_seconds,
            "upload_bytes_per_second": self.upload_bytes,
            "download_bytes_per_second": self.download_bytes,
        })
    }
}

impl Measurement {
    fn to_json(&self) -> Value {
        let workload = &self.workload;
        json!({
            "group": workload.group.name(),
            "name": workload.name,
            "shape": workload.task.shape(),
            "element": workload.element.name(),
            "kernels": self.kernels,
            "flops": workload.flops(),
            "bytes": workload.bytes(),
            "worst_error": self.worst_error,
            "seconds": {
                "median": self.median(),
                "min": self.quantile(0.0),
                "p10": self.quantile(0.1),
                "p90": self.quantile(0.9),
                "runs": self.seconds.len(),
            },
            "gflops": self.gflops(),
            "gbytes": self.gbytes(),
            "share": self.share(),
            "bound": self.roof.bound(),
        })
    }
}

impl Skipped {
    fn to_json(&self) -> Value {
        json!({ "name": self.name, "reason": self.reason })
    }
}
