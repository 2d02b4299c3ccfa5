//! `ffwd plot`: curves of activations and their derivatives, computed on the device.

mod chart;
pub mod font;
pub mod frame;
mod png;
pub mod scene;
mod svg;

use std::io::Write;
use std::path::{Path, PathBuf};

use ffwd::{Activation, activate, activate_backward};

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use chart::Curve;
use scene::Scene;

/// Samples of a curve; odd, so that 0 is one of them in a symmetric range.
const SAMPLES: usize = 801;

/// Options of `ffwd plot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Activations to draw, by any of their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// File to write: .svg or .png
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Smallest and largest x
    #[arg(long, value_name = "A,B", default_value = "-6,6", value_parser = range, allow_hyphen_values = true)]
    range: (f32, f32),
}

fn range(text: &str) -> Result<(f32, f32), String> {
    let number = |text: &str| text.trim().parse::<f32>().ok().filter(|v| v.is_finite() && v.abs() <= 1e6);
    match text.split_once(',').map(|(a, b)| (number(a), number(b))) {
        Some((Some(a), Some(b))) if b - a >= 1e-3 => Ok((a, b)),
        _ => Err("two numbers A,B are needed, A < B, up to a million and a thousandth apart".into()),
    }
}

/// What makes the bytes of a picture's file.
pub type Render = fn(&Scene) -> Result<Vec<u8>, CliError>;

/// The kind of picture that a file's name asks for.
pub fn renderer(file: &Path) -> Result<Render, CliError> {
    let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("svg") => Ok(|scene| Ok(svg::render(scene).into_bytes())),
        Some("png") => Ok(png::render),
        _ => message(format!("{}: a name in .svg or .png is needed", file.display())),
    }
}

/// Draws the curves.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let render = renderer(&args.output)?;
    let output = Output::check(&args.output)?;
    let activations = args.names.iter().map(|name| Activation::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let gpu = adapter.open()?;
    let (a, b) = args.range;
    let x: Vec<f32> = (0..SAMPLES).map(|i| a + (b - a) * (i as f32 / (SAMPLES - 1) as f32)).collect();
    let ones = vec![1.0; SAMPLES];
    let mut curves = Vec::new();
    for (name, activation) in args.names.iter().zip(activations) {
        let value = activate(&gpu, activation.clone(), &x)?;
        let derivative = activate_backward(&gpu, activation, &x, &ones)?;
        curves.push(Curve { name: name.clone(), value, derivative });
    }
    output.write(&render(&chart::draw(&x, &curves))?)?;
    writeln!(out, "{}", output.path().display())?;
    Ok(())
}
