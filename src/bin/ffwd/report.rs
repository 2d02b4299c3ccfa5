//! `ffwd report`: what `ffwd bench --json` wrote on several adapters, on one page.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use ffwd::report::{Run, page};

use crate::error::{CliError, message};
use crate::files::Output;

/// Options of `ffwd report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files that `ffwd bench --json` wrote
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// File to write: a page of HTML that needs nothing else
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Reads the files, writes the page, and says what it holds.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), CliError> {
    let output = Output::check(&args.output)?;
    let runs = match args.files.iter().map(|file| Run::read(file)).collect::<Result<Vec<_>, _>>() {
        Ok(runs) => runs,
        Err(error) => return message(error.to_string()),
    };
    output.write(page(&runs).as_bytes())?;
    let count = |n: usize, noun| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    let workloads: HashSet<_> = runs.iter().flat_map(|run| &run.workloads).map(|workload| &workload.name).collect();
    let skipped: usize = runs.iter().map(|run| run.skipped.len()).sum();
    let parts = [count(runs.len(), "adapter"), count(workloads.len(), "workload"), format!("{skipped} skipped")];
    writeln!(out, "{}, written to {}", parts.join(", "), output.path().display())?;
    Ok(())
}
