//! `ffwd run`: an activation or a gate over the tensors of a file.

mod compute;
mod learned;
mod op;
mod params;

use std::io::Write;
use std::path::PathBuf;

use ffwd::Layout;
use ffwd::weights::read_safetensors;

use crate::adapter::AdapterArgs;
use crate::choice::one_of;
use crate::error::CliError;
use crate::files::{self, Output};
use compute::Inputs;
use learned::Learned;
use op::Op;

/// Options of `ffwd run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Learnable parameters that the input holds as tensors (slope, beta, alpha, a, b, ...) are taken from there, one value\n\
    for all channels or one for each; with --backward their gradients are written too, as dslope, dbeta, ..."
)]
pub struct Args {
    /// Activation or gate, by any of its names
    #[arg(value_name = "OP")]
    op: String,
    /// Safetensors file with x, or gate and up; for --backward also dy; learnable parameters by their names
    #[arg(long, value_name = "IN.safetensors")]
    input: PathBuf,
    /// Safetensors file for y, and with --backward dx (or dgate and dup) and the gradients of learnable parameters
    #[arg(long, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// A parameter of the function; lists are JSON, as in `numerator=[0,1,0,0,0,0]`
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = params::parse)]
    params: Vec<params::Param>,
    /// Where gate and up lie; by default separate where the input has both, else packed
    #[arg(long, value_parser = one_of(Layout::ALL, Layout::name))]
    layout: Option<Layout>,
    /// Also compute the gradients, given dy
    #[arg(long)]
    backward: bool,
}

/// Runs the function.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let output = Output::check(&args.output)?;
    let tensors = read_safetensors(&args.input)?;
    let mut op = Op::parse(&args.op, args.layout, |name| tensors.shape(name).is_some())?;
    let channels = params::apply(&mut op, &args.params)?;
    let learned = match op.activation() {
        Some(activation) => Learned::read(activation, &tensors, channels)?,
        None => None,
    };
    let inputs = Inputs::read(&op, &tensors, args.backward)?;
    let outputs = compute::run(&adapter.open()?, &op, &inputs, learned.as_ref())?;
    output.write_tensors(&outputs)?;
    writeln!(out, "{}: {}", output.path().display(), files::summary(&outputs))?;
    Ok(())
}
