//! `ffwd devices`: what there is, what it can do, and what would be chosen.

use std::io::Write;

use ffwd::Gpu;
use ffwd::gpu::{capabilities, describe, is_software, list, matrices};
use ffwd::tuning::{Problem, shipped};
use ffwd::wgpu::{self, DeviceType, Features};
use serde_json::{Value, json};

use crate::adapter::AdapterArgs;
use crate::error::CliError;

/// Options of `ffwd devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const FEATURES: [(&str, Features); 4] = [
    ("TIMESTAMP_QUERY", Features::TIMESTAMP_QUERY),
    ("SHADER_F16", Features::SHADER_F16),
    ("SUBGROUP", Features::SUBGROUP),
    ("EXPERIMENTAL_COOPERATIVE_MATRIX", Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
];

fn limits(adapter: &wgpu::Adapter) -> [(&'static str, u64); 8] {
    let limits = adapter.limits();
    [
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
        ("min_uniform_buffer_offset_alignment", limits.min_uniform_buffer_offset_alignment.into()),
    ]
}

fn kind(info: &wgpu::AdapterInfo) -> &'static str {
    match info.device_type {
        _ if is_software(info) => "software",
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu | DeviceType::Other => "unknown",
    }
}

/// Bytes in the largest unit that divides them.
fn bytes(n: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = UNITS.iter().find(|(shift, _)| n > 0 && n.is_multiple_of(1 << shift));
    unit.map_or_else(|| n.to_string(), |(shift, unit)| format!("{} {unit}", n >> shift))
}

/// Lists the adapters.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let selection = adapter.selection();
    let adapters = list(selection.backends());
    let choice = selection.choose_from(adapters.clone())?;
    let chosen = choice.adapter.get_info();
    let chosen = adapters.iter().position(|adapter| adapter.get_info() == chosen);
    if args.json {
        let listed: Vec<_> = adapters.iter().enumerate().map(|(i, adapter)| as_json(i, adapter)).collect();
        let value = json!({ "adapters": listed, "chosen": chosen, "reason": choice.reason });
        return Ok(writeln!(out, "{value:#}")?);
    }
    for (index, adapter) in adapters.iter().enumerate() {
        let info = adapter.get_info();
        writeln!(out, "{} {index}  {}", if chosen == Some(index) { "*" } else { " " }, info.name)?;
        writeln!(out, "     backend   {:?}", info.backend)?;
        writeln!(out, "     type      {}", kind(&info))?;
        writeln!(out, "     driver    {} {}", info.driver, info.driver_info)?;
        for (i, (name, value)) in limits(adapter).into_iter().enumerate() {
            let value = if name.ends_with("size") { bytes(value) } else { value.to_string() };
            writeln!(out, "     {:<9} {name:<38}{value:>14}", if i == 0 { "limits" } else { "" })?;
        }
        for (i, (name, feature)) in FEATURES.into_iter().enumerate() {
            let has = if adapter.features().contains(feature) { "yes" } else { "no" };
            writeln!(out, "     {:<9} {name:<38}{has:>14}", if i == 0 { "features" } else { "" })?;
        }
        for (i, (name, variant)) in variants(adapter).into_iter().enumerate() {
            writeln!(out, "     {:<9} {name}: {variant}", if i == 0 { "kernels" } else { "" })?;
        }
        writeln!(out)?;
    }
    writeln!(out, "* chosen: {}: {}", describe(&choice.adapter), choice.reason)?;
    Ok(())
}

/// What is chosen where nothing was measured.
fn variants(adapter: &wgpu::Adapter) -> Vec<(String, String)> {
    let cooperative = Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16;
    let features = Gpu::wanted_features(adapter) | (adapter.features() & cooperative);
    let capabilities = capabilities(&adapter.get_info(), &adapter.limits(), features, matrices(adapter));
    let mut variants: Vec<_> = [1, 16, 128]
        .map(|tokens| {
            let problem = Problem { gated: true, ..Problem::new(tokens, 1536, 576) };
            (format!("gate and up, {tokens} x 576 x 1536"), shipped(&capabilities, &problem).to_string())
        })
        .into();
    variants.push(("elementwise".into(), "f32x4, with f32x1 where a length or an offset is no multiple of 4".into()));
    variants
}

fn as_json(index: usize, adapter: &wgpu::Adapter) -> Value {
    let info = adapter.get_info();
    let limits: serde_json::Map<_, _> = limits(adapter).into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let has = |feature| Value::from(adapter.features().contains(feature));
    let features: serde_json::Map<_, _> = FEATURES.into_iter().map(|(name, feature)| (name.into(), has(feature))).collect();
    let kernels: serde_json::Map<_, _> = variants(adapter).into_iter().map(|(name, text)| (name, text.into())).collect();
    json!({
        "index": index,
        "name": info.name,
        "backend": format!("{:?}", info.backend).to_lowercase(),
        "type": kind(&info),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "limits": limits,
        "features": features,
        "kernels": kernels,
    })
}
