//! `ffwd demo`: a real layer and every activation, with errors and speeds, in under a minute.

mod activations;
mod layer;

use std::io::Write;

use serde_json::json;

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};

/// Options of `ffwd demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs both parts; fails where a check does.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let (gpu, described, reason) = adapter.open_described()?;
    if !args.json {
        writeln!(out, "adapter  {described}")?;
        writeln!(out, "chosen   {reason}\n")?;
    }
    let layer = layer::run(&gpu)?;
    if !args.json {
        layer.print(out)?;
        writeln!(out)?;
    }
    let table = activations::run(&gpu)?;
    if args.json {
        let adapter = json!({ "name": described, "reason": reason });
        let value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "adapter": adapter,
            "layer": layer.as_json(),
            "activations": table.as_json(),
            "passed": layer.passed() && table.passed(),
        });
        writeln!(out, "{value:#}")?;
    } else {
        table.print(out)?;
    }
    if layer.passed() && table.passed() { Ok(()) } else { message("a check of the demo failed") }
}
