//! `ffwd quantize`: a model's matrices in another kind.

mod output;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ffwd::weights::Encoding;
use ffwd::weights::convert::{Conversion, Matrices};

use crate::error::{CliError, message};
use crate::files::Output;
use crate::interrupt::{self, Second};
use crate::progress;

use output::Report;

/// Options of `ffwd quantize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GGUF or safetensors file, or Hugging Face directory
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// GGUF file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Kind in which the matrices are to be stored
    #[arg(long, value_name = "KIND", value_parser = kind())]
    to: Encoding,
    /// Convert every matrix whose rows are whole blocks, not only gate, up and down of feed-forward layers and experts
    #[arg(long)]
    all: bool,
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn kind() -> impl TypedValueParser<Value = Encoding> {
    let names = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "mxfp4", "f16", "bf16", "f32"];
    PossibleValuesParser::new(names).try_map(|name| Encoding::parse(&name).ok_or(format!("no such kind: {name}")))
}

/// Converts, and prints what it cost.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), CliError> {
    if args.json.as_ref() == Some(&args.output) {
        return message(format!("{} is named for two files", args.output.display()));
    }
    let output = Output::check(&args.output)?;
    let json = args.json.as_deref().map(Output::check).transpose()?;
    let matrices = if args.all { Matrices::All } else { Matrices::FeedForward };
    let conversion = Conversion::open(&args.input, &args.to, matrices)?;
    nothing_to_convert(args, &conversion)?;
    let stop = interrupt::flag(Second::IsIgnored)?;
    // Bars count in megabytes.
    let total: u64 = conversion.tensors().iter().map(|tensor| tensor.bytes_before).sum();
    let bar = progress::bar((total / 1_000_000) as usize, "MB");
    let mut done = 0;
    let losses = conversion.write(output.path(), &mut |name, bytes| {
        done += bytes;
        bar.set_position(done / 1_000_000);
        bar.set_message(name.to_owned());
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let report = Report { args, tensors: conversion.tensors(), losses: losses? };
    if let Some(json) = json {
        json.write(format!("{:#}\n", report.as_json()).as_bytes())?;
    }
    report.print(out)
}

/// Fails where not one matrix would be converted.
fn nothing_to_convert(args: &Args, conversion: &Conversion) -> Result<(), CliError> {
    let tensors = conversion.tensors();
    if tensors.iter().any(|tensor| tensor.from != tensor.to) {
        return Ok(());
    }
    let left = tensors.iter().find_map(|tensor| Some(format!("{:?} stays {}: {}", tensor.name, tensor.from, tensor.left?)));
    let reason = left.unwrap_or_else(|| {
        let hint = if args.all { "" } else { "; --all converts every matrix" };
        format!(
            "{} tensors, of which no {} is of another kind{hint}",
            tensors.len(),
            if args.all { "matrix" } else { "feed-forward matrix" }
        )
    });
    message(format!("{}: nothing to convert to {}: {reason}", args.input.display(), args.to))
}
