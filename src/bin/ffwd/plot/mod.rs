//! stub
use crate::adapter::AdapterArgs;
use crate::error::CliError;
use std::io::Write;
/// x
#[derive(Debug, clap::Args)]
pub struct Args {}
/// x
pub fn run(_: &Args, _: &AdapterArgs, _: &mut dyn Write) -> Result<(), CliError> {
    Ok(())
}
