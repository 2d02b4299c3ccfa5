//! The command line of ffwd: one file for each subcommand, and no maths of its own.
#![warn(missing_docs)]

mod adapter;
mod bench;
mod choice;
mod demo;
mod devices;
mod error;
mod ffn;
mod files;
mod interrupt;
mod model;
mod plan;
mod plot;
mod progress;
mod quantize;
mod report;
mod run;
mod table;
mod train;
mod tune;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use adapter::AdapterArgs;

/// Activations and feed-forward networks as compute kernels, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "ffwd", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the adapters: drivers, the limits and features that matter here, and the kernels chosen for each
    Devices(devices::Args),
    /// Run a real SwiGLU layer and every activation, with errors and speeds, on this adapter
    Demo(demo::Args),
    /// Apply an activation or a gate to the tensors of a safetensors file
    Run(run::Args),
    /// Run a feed-forward layer of a model
    Ffn(ffn::Args),
    /// List a model's feed-forward layers: sizes, activations, experts, and how they are stored
    Model(model::Args),
    /// Measure the accuracy contract of every function on this adapter
    Verify(verify::Args),
    /// Measure speeds beside this adapter's own ceilings
    Bench(bench::Args),
    /// Measure which kernels compute products fastest on this adapter, and remember it
    Tune(tune::Args),
    /// Compare a feed-forward layer with gated ones of equal parameters, operations or width
    Plan(plan::Args),
    /// Train networks that differ in their activation side by side, and compare them
    Train(Box<train::Args>),
    /// Convert the feed-forward matrices of a model to another kind, quantised or not
    Quantize(quantize::Args),
    /// Draw activations and their derivatives
    Plot(plot::Args),
    /// Make one page of what `ffwd bench --json` wrote on several adapters
    Report(report::Args),
}

fn main() -> ExitCode {
    let Cli { adapter, command } = Cli::parse();
    let mut out = std::io::stdout().lock();
    let result = match command {
        Command::Devices(args) => devices::run(&args, &adapter, &mut out),
        Command::Demo(args) => demo::run(&args, &adapter, &mut out),
        Command::Run(args) => run::run(&args, &adapter, &mut out),
        Command::Ffn(args) => ffn::run(&args, &adapter, &mut out),
        Command::Model(args) => model::run(&args, &mut out),
        Command::Verify(args) => verify::run(&args, &adapter, &mut out),
        Command::Bench(args) => bench::run(&args, &adapter, &mut out),
        Command::Tune(args) => tune::run(&args, &adapter, &mut out),
        Command::Plan(args) => plan::run(&args, &mut out),
        Command::Train(args) => train::run(&args, &adapter, &mut out),
        Command::Quantize(args) => quantize::run(&args, &mut out),
        Command::Plot(args) => plot::run(&args, &adapter, &mut out),
        Command::Report(args) => report::run(&args, &mut out),
    };
    match result.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // Where not even this can be written, the exit code tells.
            let _ = writeln!(std::io::stderr(), "error: {}", error::with_causes(&error));
            error.exit_code()
        }
    }
}
