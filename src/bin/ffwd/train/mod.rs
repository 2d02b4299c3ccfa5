//! `ffwd train`: networks that differ in their activation, trained side by side from the same seed on the same data.

mod contest;
mod course;
mod panels;
mod picture;
mod saved;
mod setup;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use ffwd::Gpu;
use ffwd::train::Task;
use indicatif::MultiProgress;
use serde_json::json;

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::plot::renderer;
use crate::progress::bar;
use crate::table::{self, Align};
use contest::Contestant;
use setup::Setup;

/// Steps that a network takes in its turn.
const TURN: u32 = 10;

/// Options of `ffwd train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    setup: Setup,
    /// Steps in all; with --resume until which to go on, the schedule staying as it was
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Write everything, every step included, to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw losses, perplexities, dead units, gradients and times: .svg or .png
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Where to leave a checkpoint at the end; where Ctrl-C leaves one in any case
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Go on from a checkpoint, as it was set up
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

/// Where Ctrl-C leaves a checkpoint if no other place is named.
const CHECKPOINT: &str = "ffwd-train.safetensors";
const STEPS: u32 = 600;

/// The options as a checkpoint keeps them: what followed `train` on the command line.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Kept {
    #[command(flatten)]
    args: Args,
    #[command(flatten)]
    adapter: AdapterArgs,
}

/// A comparison under way.
struct Comparison {
    gpu: Gpu,
    adapter: String,
    setup: Setup,
    /// What was asked for when it began.
    arguments: Vec<String>,
    /// The task in words.
    task: String,
    classification: bool,
    contestants: Vec<Contestant>,
    steps: u32,
    every: u32,
}

/// Trains, and writes what is asked for.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let checked = |path: &Option<PathBuf>| path.as_deref().map(Output::check).transpose();
    let (json, picture) = (checked(&args.json)?, checked(&args.picture)?);
    let render = args.picture.as_deref().map(renderer).transpose()?;
    let stopped_at = args.checkpoint.clone().unwrap_or_else(|| CHECKPOINT.into());
    Output::check(&stopped_at)?;
    let mut comparison = Comparison::new(args, adapter)?;
    let stop = stop_on_interrupt()?;
    writeln!(out, "{}: {}", comparison.adapter, comparison.task)?;
    let stopped = comparison.train(&stop)?;
    comparison.print(out)?;
    if let Some(output) = json {
        output.write(format!("{:#}\n", comparison.json()).as_bytes())?;
        writeln!(out, "written to {}", output.path().display())?;
    }
    if let (Some(output), Some(render)) = (picture, render) {
        output.write(&render(&comparison.scene())?)?;
        writeln!(out, "drawn in {}", output.path().display())?;
    }
    if stopped || args.checkpoint.is_some() {
        saved::write(&stopped_at, &comparison.arguments, &comparison.task, &comparison.contestants)?;
        writeln!(out, "checkpoint after {} steps; go on with: ffwd train --resume {}", comparison.taken(), stopped_at.display())?;
    }
    let failed: Vec<_> = comparison.contestants.iter().filter_map(|c| Some(format!("{}: {}", c.name, c.failure.as_ref()?))).collect();
    if failed.is_empty() { Ok(()) } else { message(failed.join("\n")) }
}

/// A flag that Ctrl-C raises. The second Ctrl-C ends the process.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    let handler = move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    };
    match ctrlc::set_handler(handler) {
        Ok(()) => Ok(stop),
        Err(error) => message(format!("cannot listen for Ctrl-C: {error}")),
    }
}

impl Comparison {
    fn new(args: &Args, adapter: &AdapterArgs) -> Result<Self, CliError> {
        let about = args.resume.as_deref().map(|path| saved::about(path).map(|about| (path, about))).transpose()?;
        let (setup, arguments, total) = match &about {
            None => (args.setup.clone(), std::env::args().skip_while(|arg| arg != "train").skip(1).collect(), args.steps),
            Some((path, about)) => {
                let arguments = saved::arguments(path, about)?;
                let kept = Kept::try_parse_from(&arguments).map_err(|error| CliError::Message(error.to_string()))?;
                (kept.args.setup, arguments, kept.args.steps)
            }
        };
        let total = total.unwrap_or(STEPS);
        let (specs, options) = (setup.networks()?, setup.options(total));
        let (task, words) = setup.task()?;
        let (gpu, adapter, _) = adapter.open_described()?;
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = setup.names.iter().find(|name| !names.insert(*name)) {
            return message(format!("`{twice}` is named twice"));
        }
        let contestants = setup.names.iter().zip(&specs).map(|(name, spec)| Contestant::new(&gpu, name, spec, &task, &options));
        let mut contestants = contestants.collect::<Result<Vec<_>, _>>()?;
        if let Some((path, about)) = &about {
            saved::restore(path, about, &words, &mut contestants)?;
        }
        let (steps, every) = (args.steps.unwrap_or(total), setup.evaluate_every(total));
        let classification = matches!(task, Task::Text(_));
        Ok(Self { gpu, adapter, setup, arguments, task: words, classification, contestants, steps, every })
    }

    /// Steps that those took that did not fail.
    fn taken(&self) -> u32 {
        self.contestants.iter().filter(|c| c.failure.is_none()).map(|c| c.trainer.taken()).max().unwrap_or(0)
    }

    /// Turn by turn, until all steps are taken or Ctrl-C comes; whether it came.
    fn train(&mut self, stop: &AtomicBool) -> Result<bool, CliError> {
        let bars = MultiProgress::new();
        let width = self.contestants.iter().map(|c| c.name.len()).max().unwrap_or(0);
        let bars: Vec<_> =
            self.contestants.iter().map(|c| bars.add(bar(self.steps as usize, "").with_prefix(format!("{:width$}", c.name)))).collect();
        while !stop.load(Ordering::SeqCst) {
            let start = self.taken();
            if start >= self.steps || self.contestants.iter().all(|c| c.failure.is_some()) {
                break;
            }
            // Evaluations are at multiples, wherever a turn began.
            let end = (start + TURN).min(self.steps).min((start / self.every + 1) * self.every);
            for (contestant, bar) in self.contestants.iter_mut().zip(&bars).filter(|(c, _)| c.failure.is_none()) {
                if start == 0 {
                    contestant.evaluate()?;
                }
                contestant.steps(&self.gpu, end - start)?;
                if contestant.failure.is_none() && (end.is_multiple_of(self.every) || end == self.steps) {
                    contestant.evaluate()?;
                }
                bar.set_position(end.into());
                bar.set_message(format!("loss {:.4}, {:.1} ms a step", contestant.last_loss(), 1e3 * contestant.step_seconds()));
            }
        }
        bars.iter().for_each(indicatif::ProgressBar::finish_and_clear);
        Ok(stop.load(Ordering::SeqCst))
    }

    fn print(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let heading = ["network", "parameters", "d_ff", "training loss", "validation", "perplexity", "dead units", "ms a step"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for contestant in &self.contestants {
            let last = contestant.evaluations.last();
            let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let text = |value: Option<f64>, digits: usize| value.map_or("-".into(), |v| format!("{v:.digits$}"));
            rows.push(vec![
                contestant.name.clone(),
                contestant.parameters.to_string(),
                contestant.trainer.spec().d_ff.to_string(),
                format!("{:.4}", contestant.last_loss()),
                text(last.map(|e| e.loss), 4),
                text(last.filter(|_| self.classification).map(|e| e.loss.exp()), 3),
                last.map_or("-".into(), |e| format!("{:.1}%", 100.0 * mean(&e.dead))),
                format!("{:.1}", 1e3 * contestant.step_seconds()),
            ]);
        }
        let mut align = [Align::Right; 8];
        align[0] = Align::Left;
        table::print(out, &align, &rows)
    }

    fn scene(&self) -> crate::plot::scene::Scene {
        let courses: Vec<_> = self.contestants.iter().map(Contestant::course).collect();
        picture::draw(&courses, &format!("ffwd train: {}", self.task), self.classification)
    }

    fn json(&self) -> serde_json::Value {
        let info = self.gpu.info();
        json!({
            "schema": "ffwd-train/1",
            "version": env!("CARGO_PKG_VERSION"),
            "adapter": info.name,
            "backend": format!("{:?}", info.backend).to_lowercase(),
            "driver": info.driver,
            "driver_info": info.driver_info,
            "arguments": self.arguments,
            "task": self.task,
            "options": format!("{:?}", self.setup.options(self.steps)),
            "networks": self.contestants.iter().map(|c| c.json(self.classification)).collect::<Vec<_>>(),
        })
    }
}
