//! `ffwd plot`: curves of activations and their derivatives, or of the errors in both, computed on the device.

mod chart;
pub mod font;
pub mod frame;
mod png;
pub mod scene;
mod svg;

use std::io::Write;
use std::path::{Path, PathBuf};

use ffwd::accuracy::Sample;
use ffwd::{Activation, Element, Error, Gpu, activate, activate_backward, oracle};

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::table::{self, Align};
use chart::{Curve, Quantity};
use frame::{MINUS, significant};
use scene::Scene;

/// Samples of a curve; odd, so that 0 is one of them in a symmetric range.
const SAMPLES: usize = 801;
/// The same of errors, and how many inputs around each the worst of is drawn.
const ERRORS: usize = 121;
const TRIED: usize = 512;

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
    /// Apply each so many times in a row, as units in a chain do; the derivative is that of the whole chain
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    times: u8,
    /// Draw errors instead, in units in the last place of f32: around each x the worst of 512
    #[arg(long, conflicts_with = "times")]
    errors: bool,
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

/// Draws the curves, and prints how far they reach.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let render = renderer(&args.output)?;
    let output = Output::check(&args.output)?;
    let activations = args.names.iter().map(|name| Activation::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let gpu = adapter.open()?;
    let (a, b) = args.range;
    let samples = if args.errors { ERRORS } else { SAMPLES };
    let x: Vec<f32> = (0..samples).map(|i| a + (b - a) * (i as f32 / (samples - 1) as f32)).collect();
    let mut curves = Vec::new();
    for (name, activation) in args.names.iter().zip(&activations) {
        let (value, derivative) =
            if args.errors { errors(&gpu, activation, args.range)? } else { chain(&gpu, activation, &x, args.times)? };
        let name = if args.times > 1 { format!("{name} \u{d7} {}", args.times) } else { name.clone() };
        curves.push(Curve { name, value, derivative });
    }
    let quantity = if args.errors { Quantity::Errors } else { Quantity::Values };
    output.write(&render(&chart::draw(&x, &curves, quantity))?)?;
    print(&x, &curves, quantity, out)?;
    writeln!(out, "drawn in {}", output.path().display())?;
    Ok(())
}

/// Values and derivatives of a function applied so many times in a row.
fn chain(gpu: &Gpu, activation: &Activation, x: &[f32], times: u8) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let (mut value, mut derivative) = (x.to_vec(), vec![1.0; x.len()]);
    for _ in 0..times {
        derivative = activate_backward(gpu, activation.clone(), &value, &derivative)?;
        value = activate(gpu, activation.clone(), &value)?;
    }
    Ok((value, derivative))
}

/// The worst errors of value and derivative around each sample, in ULP.
fn errors(gpu: &Gpu, activation: &Activation, (a, b): (f32, f32)) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let count = ERRORS * TRIED;
    let x: Vec<f32> = (0..count).map(|i| a + (b - a) * ((i as f32 + 0.5) / count as f32)).collect();
    let (value, derivative) = chain(gpu, activation, &x, 1)?;
    let worst = |actual: &[f32], truth: fn(&Activation, f64) -> f64| {
        let error = |(x, actual): (&f32, &f32)| {
            let sample = Sample { actual: *actual, truth: truth(activation, f64::from(*x)), forgiven: 0.0 };
            sample.error_ulp(Element::F32) as f32
        };
        let errors: Vec<f32> = x.iter().zip(actual).map(error).collect();
        errors.chunks_exact(TRIED).map(|part| part.iter().copied().fold(0.0, f32::max)).collect()
    };
    Ok((worst(&value, oracle::value), worst(&derivative, oracle::derivative)))
}

/// How far each curve reaches down and up, and where.
fn print(x: &[f32], curves: &[Curve], quantity: Quantity, out: &mut dyn Write) -> Result<(), CliError> {
    let number = |v: f32| if v == 0.0 { "0".to_owned() } else { significant(v.into(), 4).replace(MINUS, "-") };
    let [value, derivative] = quantity.names();
    let heading = ["function", "of", "least", "at x", "greatest", "at x"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for curve in curves {
        for (of, y) in [(value, &curve.value), (derivative, &curve.derivative)] {
            // Of equal ones the first.
            let points = || x.iter().zip(y).filter(|(_, y)| !y.is_nan());
            let least = points().reduce(|best, point| if point.1 < best.1 { point } else { best });
            let greatest = points().reduce(|best, point| if point.1 > best.1 { point } else { best });
            let ends =
                [least, greatest].into_iter().flat_map(|end| end.map_or(["-".into(), "-".into()], |(x, y)| [number(*y), number(*x)]));
            rows.push([curve.name.clone(), of.to_owned()].into_iter().chain(ends).collect());
        }
    }
    table::print(out, &[Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right], &rows)
}
