//! The same workloads through ffwd and through burn's wgpu backend: one process, one adapter, checked against f64 before
//! they are timed, taking turns. README.md says what is in the times.

mod measure;
mod ours;
mod report;
mod theirs;
mod workload;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Parser;
use ffwd::Gpu;
use ffwd::gpu::{Choice, describe};

use crate::workload::Workload;

/// ffwd beside burn, on burn's default adapter (CUBECL_WGPU_DEFAULT_DEVICE chooses another).
#[derive(Debug, Parser)]
struct Arguments {
    /// Also writes the table and every run's time to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only workloads whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Counted runs of each side.
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every result was right.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let workloads: Vec<_> = Workload::all()?.into_iter().filter(|workload| workload.name().contains(&arguments.filter)).collect();
    if workloads.is_empty() {
        return Err(format!("no workload's name contains `{}`", arguments.filter).into());
    }
    let runs = usize::from(arguments.runs);
    // Each side opens the adapter as it would on its own, with the features and limits that it wants.
    let (device, setup) = Device::wgpu_options().init_with_setup()?;
    let header = report::Header::new(describe(&setup.adapter), runs);
    let gpu = Gpu::from_choice(&Choice { adapter: setup.adapter, reason: "burn's".into() })?;
    report::print_header(&header);
    let mut rows = Vec::new();
    for workload in &workloads {
        let row = measure::measure(&gpu, &device, workload, runs).map_err(|error| format!("{}: {error}", workload.name()))?;
        report::print_row(&row);
        rows.push(row);
    }
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&header, &rows))? + "\n";
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(rows.iter().all(measure::Row::is_right))
}
