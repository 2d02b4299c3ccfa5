//! A file of measurements: one run of `ffwd bench` on one adapter.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::error::{ReportError, Result};
use super::field::Field;
use super::workload::{Skipped, Workload};

/// The version of the format that is read.
pub const SCHEMA: &str = "ffwd-bench/1";

/// Operations or bytes in a second: nothing is slower than one, nothing that exists is faster than the other.
const RATE: RangeInclusive<f64> = 1.0..=1e21;

/// What was measured on one adapter, and what it was measured with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The file it was read from.
    pub file: PathBuf,
    /// Version of the crate that measured.
    pub version: String,
    /// When the run began, in UTC.
    pub date: String,
    /// Whether it was a quick run, with fewer repetitions.
    pub quick: bool,
    /// The adapter's name.
    pub adapter: String,
    /// The API it was reached through.
    pub backend: String,
    /// What kind of device it is, such as `cpu`.
    pub device_type: String,
    /// The driver's name.
    pub driver: String,
    /// What the driver says about itself, such as its version.
    pub driver_info: String,
    /// Whether a processor plays the GPU.
    pub software: bool,
    /// Features of the device that was opened.
    pub features: Vec<String>,
    /// Sizes that the device allows.
    pub limits: Limits,
    /// The machine around the adapter.
    pub host: Host,
    /// What measured: `wall` or `timestamps`.
    pub clock: &'static str,
    /// What the adapter can do at best.
    pub ceilings: Ceilings,
    /// What was measured, each under a name of its own.
    pub workloads: Vec<Workload>,
    /// What was not, and why.
    pub skipped: Vec<Skipped>,
}

/// Sizes that a device allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a buffer.
    pub buffer: u64,
    /// Bytes of a storage binding.
    pub binding: u64,
    /// Bytes that a workgroup shares.
    pub workgroup_storage: u64,
    /// Invocations of a workgroup.
    pub invocations: u64,
    /// The smallest and the largest subgroup.
    pub subgroups: (u64, u64),
}

/// The machine around an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// Operating system.
    pub os: String,
    /// Instruction set.
    pub arch: String,
    /// Hardware threads.
    pub threads: u64,
}

/// What an adapter can do at best, measured; `None` for what it cannot do at all.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Ceilings {
    /// Bytes per second that a copy reads and writes.
    pub copy: Option<f64>,
    /// f32 operations per second; a fused multiply-add is two.
    pub f32: Option<f64>,
    /// Operations per second of cooperative matrices: f16 operands, f32 sums.
    pub cooperative: Option<f64>,
    /// Seconds for one more dispatch.
    pub dispatch: Option<f64>,
    /// Bytes per second to the device.
    pub upload: Option<f64>,
    /// Bytes per second from the device.
    pub download: Option<f64>,
}

impl Ceilings {
    /// The most operations per second at so many operations per byte: the smaller of the f32 rate and what memory feeds.
    /// `None` where either was not measured.
    pub fn roof(&self, intensity: f64) -> Option<f64> {
        Some(self.f32?.min(intensity * self.copy?))
    }

    /// The same for cooperative matrices.
    pub fn cooperative_roof(&self, intensity: f64) -> Option<f64> {
        Some(self.cooperative?.min(intensity * self.copy?))
    }
}

impl Run {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReportError::Io`], and those of [`Run::parse`].
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|error| ReportError::Io { file: file.to_owned(), error })?;
        Self::parse(file, &bytes)
    }

    /// Reads the text of a file, which is named in errors. Fields that are not known are left alone.
    ///
    /// # Errors
    /// Any other [`ReportError`]: not JSON, another schema, a field that is missing, of another type, impossible or in
    /// contradiction to another, or a workload that comes twice.
    pub fn parse(file: &Path, json: &[u8]) -> Result<Self> {
        let value = serde_json::from_slice(json).map_err(|error| ReportError::NotJson { file: file.to_owned(), error })?;
        let root = Field::root(file, &value);
        let schema = root.get("schema")?.text()?;
        if schema != SCHEMA {
            return Err(ReportError::Schema { file: file.to_owned(), found: schema, wanted: SCHEMA });
        }
        let text = |name| root.get(name)?.text();
        let run = Self {
            file: file.to_owned(),
            version: text("version")?,
            date: text("date")?,
            quick: root.get("quick")?.flag()?,
            adapter: text("adapter")?,
            backend: text("backend")?,
            device_type: text("device_type")?,
            driver: text("driver")?,
            driver_info: text("driver_info")?,
            software: root.get("software")?.flag()?,
            features: root.get("features")?.items()?.map(|item| item.text()).collect::<Result<_>>()?,
            limits: limits(&root.get("limits")?)?,
            host: host(&root.get("host")?)?,
            clock: root.get("clock")?.one_of(&[("wall", "wall"), ("timestamps", "timestamps")], "\"wall\" or \"timestamps\"")?,
            ceilings: ceilings(&root.get("ceilings")?)?,
            workloads: root.get("workloads")?.items()?.map(|item| Workload::read(&item)).collect::<Result<_>>()?,
            skipped: root.get("skipped")?.items()?.map(|item| Skipped::read(&item)).collect::<Result<_>>()?,
        };
        let mut seen = HashSet::new();
        let names = run.workloads.iter().map(|workload| &workload.name).chain(run.skipped.iter().map(|skipped| &skipped.name));
        match names.into_iter().find(|name| !seen.insert(*name)) {
            Some(name) => Err(ReportError::Twice { file: file.to_owned(), name: name.clone() }),
            None => Ok(run),
        }
    }
}

fn limits(field: &Field) -> Result<Limits> {
    let count = |name| field.get(name)?.count();
    Ok(Limits {
        buffer: count("max_buffer_size")?,
        binding: count("max_storage_buffer_binding_size")?,
        workgroup_storage: count("max_compute_workgroup_storage_size")?,
        invocations: count("max_compute_invocations_per_workgroup")?,
        subgroups: (count("subgroup_min_size")?, count("subgroup_max_size")?),
    })
}

fn host(field: &Field) -> Result<Host> {
    Ok(Host { os: field.get("os")?.text()?, arch: field.get("arch")?.text()?, threads: field.get("threads")?.count()? })
}

fn ceilings(field: &Field) -> Result<Ceilings> {
    let rate = |name| field.nullable(name)?.map(|field| field.number(RATE)).transpose();
    Ok(Ceilings {
        copy: rate("copy_bytes_per_second")?,
        f32: rate("f32_flops_per_second")?,
        cooperative: rate("cooperative_flops_per_second")?,
        dispatch: field.nullable("dispatch_seconds")?.map(|field| field.number(0.0..=1e3)).transpose()?,
        upload: rate("upload_bytes_per_second")?,
        download: rate("download_bytes_per_second")?,
    })
}
