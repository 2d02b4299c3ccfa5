//! `ffwd bench`: speeds beside the adapter's own ceilings.

use std::io::Write;
use std::path::PathBuf;

use ffwd::bench::{Bench, Ceilings, Group, Measurement, Options, Report, workloads};

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::progress;
use crate::table::{self, Align};

/// Options of `ffwd bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure a few workloads with few runs, in less than a minute
    #[arg(long)]
    quick: bool,
    /// Measure only workloads whose name holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Skip workloads that would take longer than this, all of their runs together
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0)]
    max_seconds: f64,
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints the tables, and fails where a result was wrong.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let output = args.json.as_deref().map(Output::check).transpose()?;
    let wanted = args.filter.as_deref().unwrap_or_default().to_lowercase();
    let mut workloads = workloads(args.quick)?;
    workloads.retain(|workload| workload.name.to_lowercase().contains(&wanted));
    if workloads.is_empty() {
        let hint = if args.quick { "; without --quick there are more" } else { "" };
        return message(format!("no workload's name holds `{wanted}`{hint}"));
    }
    let (gpu, described, reason) = adapter.open_described()?;
    writeln!(out, "{described}: {reason}\n")?;
    let bar = progress::bar(workloads.len() + 1, "measuring");
    bar.set_message("ceilings");
    let mut bench = pollster::block_on(Bench::start(&gpu, Options { quick: args.quick, max_seconds: args.max_seconds }))?;
    for workload in &workloads {
        bar.inc(1);
        bar.set_message(workload.name.clone());
        pollster::block_on(bench.measure(workload))?;
    }
    bar.finish_and_clear();
    let report = bench.finish();
    if let Some(output) = &output {
        output.write(format!("{:#}\n", report.to_json()).as_bytes())?;
    }
    print(out, &report)?;
    let wrong = report.skipped.iter().filter(|skipped| skipped.wrong).count();
    if wrong > 0 { message(format!("{wrong} workloads gave wrong results")) } else { Ok(()) }
}

fn print(out: &mut dyn Write, report: &Report) -> Result<(), CliError> {
    print_ceilings(out, &report.ceilings)?;
    writeln!(out, "\nmedians by {}; share: the roof's time in the median, the roof being arithmetic or memory", report.clock.name())?;
    for group in Group::ALL {
        let of_group: Vec<_> = report.workloads.iter().filter(|m| m.workload.group == group).collect();
        if !of_group.is_empty() {
            print_group(out, group, &of_group)?;
        }
    }
    if !report.skipped.is_empty() {
        writeln!(out, "\nskipped")?;
        let rows: Vec<_> = report.skipped.iter().map(|skipped| vec![skipped.name.clone(), skipped.reason.clone()]).collect();
        table::print(out, &[Align::Left; 2], &rows)?;
    }
    Ok(())
}

fn print_ceilings(out: &mut dyn Write, ceilings: &Ceilings) -> Result<(), CliError> {
    let giga = |rate: f64, unit: &str| format!("{:.1} {unit}", rate / 1e9);
    let none = || "none".to_owned();
    let rows = [
        ("copy", giga(ceilings.copy_bytes, "GB/s")),
        ("f32 multiply-adds", giga(ceilings.f32_flops, "GFLOP/s")),
        ("  shown by", ceilings.f32_kernel.clone()),
        ("cooperative f16", ceilings.cooperative_flops.map_or_else(none, |rate| giga(rate, "GFLOP/s"))),
        ("one more dispatch", ceilings.dispatch_seconds.map_or_else(none, duration)),
        ("upload", giga(ceilings.upload_bytes, "GB/s")),
        ("download", giga(ceilings.download_bytes, "GB/s")),
    ];
    table::print(out, &[Align::Left, Align::Right], &rows.map(|(what, speed)| vec![what.to_owned(), speed]))
}

fn print_group(out: &mut dyn Write, group: Group, measured: &[&Measurement]) -> Result<(), CliError> {
    let heading = ["median", "p10", "p90", "runs", "GFLOP/s", "GB/s", "share", "of", "error"];
    let mut rows = vec![std::iter::once(group.name()).chain(heading).map(String::from).collect::<Vec<_>>()];
    for m in measured {
        rows.push(vec![
            m.workload.name.clone(),
            duration(m.median()),
            duration(m.quantile(0.1)),
            duration(m.quantile(0.9)),
            m.seconds.len().to_string(),
            format!("{:.1}", m.gflops()),
            format!("{:.1}", m.gbytes()),
            format!("{:.2}", m.share()),
            m.roof.bound().to_owned(),
            format!("{:.0e}", m.worst_error),
        ]);
    }
    writeln!(out)?;
    let mut align = [Align::Right; 10];
    (align[0], align[8]) = (Align::Left, Align::Left);
    table::print(out, &align, &rows)
}

/// Seconds with three digits, in the unit that fits.
pub fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "us"),
    };
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}
