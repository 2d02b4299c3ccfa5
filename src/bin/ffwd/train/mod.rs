//! `ffwd train`: networks that differ in their activation, trained side by side from the same seed on the same data.

mod contest;
mod course;
mod panels;
mod picture;
mod saved;
mod setup;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use ffwd::Gpu;
use ffwd::train::{Task, TrainerOptions};
use indicatif::MultiProgress;
use serde_json::json;

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::interrupt::{self, Second};
use crate::plot::renderer;
use crate::progress::bar;
use crate::table::{self, Align};
use crate::{Cli, Command};
use contest::Contestant;
use saved::MadeOn;
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

/// A comparison under way.
struct Comparison {
    gpu: Gpu,
    adapter: String,
    /// What was asked for when it began.
    arguments: Vec<String>,
    /// The task in words, and what else the bits depend on.
    task: String,
    made_on: MadeOn,
    options: TrainerOptions,
    classification: bool,
    contestants: Vec<Contestant>,
    steps: u32,
    every: u32,
}

/// Trains, and writes what is asked for: a failure to write one thing does not keep it from writing the others.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let checkpoint = args.checkpoint.clone().unwrap_or_else(|| CHECKPOINT.into());
    let paths = [args.json.as_ref(), args.picture.as_ref(), Some(&checkpoint)];
    if let Some(twice) = paths.iter().enumerate().find(|(k, path)| path.is_some() && paths[..*k].contains(path)).and_then(|(_, path)| *path)
    {
        return message(format!("{} is named for two files", twice.display()));
    }
    let checked = |path: &Option<PathBuf>| path.as_deref().map(Output::check).transpose();
    let (json, picture, _) = (checked(&args.json)?, checked(&args.picture)?, checked(&args.checkpoint)?);
    let render = args.picture.as_deref().map(renderer).transpose()?;
    let (mut comparison, note) = Comparison::new(args, adapter)?;
    let stop = interrupt::flag(Second::Ends)?;
    writeln!(out, "{}: {}", comparison.adapter, comparison.task)?;
    if let Some(note) = note {
        writeln!(out, "{note}")?;
    }
    let stopped = comparison.train(&stop)?;
    let mut written = Vec::new();
    if stopped || args.checkpoint.is_some() {
        let line = format!("checkpoint after {} steps; go on with: ffwd train --resume {}", comparison.taken(), checkpoint.display());
        written.push(comparison.save(&checkpoint).map(|()| line));
    }
    if let Some(output) = json {
        let done = output.write(format!("{:#}\n", comparison.json()).as_bytes());
        written.push(done.map(|()| format!("written to {}", output.path().display())));
    }
    if let (Some(output), Some(render)) = (picture, render) {
        let done = render(&comparison.scene()).and_then(|bytes| output.write(&bytes));
        written.push(done.map(|()| format!("drawn in {}", output.path().display())));
    }
    comparison.print(out)?;
    // The checkpoint's line is the last, to be copied.
    for line in written.into_iter().rev() {
        writeln!(out, "{}", line?)?;
    }
    let failed: Vec<_> = comparison.contestants.iter().filter_map(|c| Some(format!("{}: {}", c.name, c.failure.as_ref()?))).collect();
    if failed.is_empty() { Ok(()) } else { message(failed.join("\n")) }
}

/// That of a network which diverged is astronomic.
fn perplexity(value: f64) -> String {
    if value < 1e6 { format!("{value:.3}") } else { format!("{value:.0e}") }
}

/// What this process was called with, for a checkpoint to keep.
fn command_line() -> Result<Vec<String>, CliError> {
    let text = |argument: std::ffi::OsString| {
        argument.into_string().or_else(|argument| message(format!("{}: not UTF-8, in which a checkpoint keeps it", argument.display())))
    };
    std::env::args_os().map(text).collect()
}

/// The options of the command line that a checkpoint was made by.
fn parsed(path: &Path, arguments: &[String]) -> Result<Args, CliError> {
    match Cli::try_parse_from(arguments) {
        Ok(Cli { command: Command::Train(args), .. }) => Ok(*args),
        Ok(_) => message(format!("{}: made by another command: {}", path.display(), arguments.join(" "))),
        Err(error) => {
            let reason = error.to_string();
            message(format!("{}: made by a command line that is not understood: {}", path.display(), reason.lines().next().unwrap_or("")))
        }
    }
}

impl Comparison {
    /// With what is to be told about a checkpoint.
    fn new(args: &Args, adapter: &AdapterArgs) -> Result<(Self, Option<String>), CliError> {
        let about = args.resume.as_deref().map(|path| saved::about(path).map(|about| (path, about))).transpose()?;
        let (setup, arguments, total) = match &about {
            None => (args.setup.clone(), command_line()?, args.steps),
            Some((path, about)) => {
                let arguments = saved::arguments(path, about)?;
                let kept = parsed(path, &arguments)?;
                (kept.setup, arguments, kept.steps)
            }
        };
        let total = total.unwrap_or(STEPS);
        let (specs, options) = (setup.networks()?, setup.options(total));
        let (task, words, sum) = setup.task()?;
        let (gpu, adapter, _) = adapter.open_described()?;
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = setup.names.iter().find(|name| !names.insert(*name)) {
            return message(format!("`{twice}` is named twice"));
        }
        let contestants = setup.names.iter().zip(&specs).map(|(name, spec)| Contestant::new(&gpu, name, spec, &task, &options));
        let mut contestants = contestants.collect::<Result<Vec<_>, _>>()?;
        let made_on = MadeOn { task: format!("{words}, data {sum:016x}"), adapter: gpu.tuning_key() };
        let note = match &about {
            Some((path, about)) => saved::restore(path, about, &made_on, &mut contestants)?,
            None => None,
        };
        let (steps, every) = (args.steps.unwrap_or(total), setup.evaluate_every(total));
        let classification = matches!(task, Task::Text(_));
        let comparison = Self { gpu, adapter, arguments, task: words, made_on, options, classification, contestants, steps, every };
        Ok((comparison, note))
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
            let end = start.saturating_add(TURN).min(self.steps).min((start / self.every + 1).saturating_mul(self.every));
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

    fn save(&self, path: &Path) -> Result<(), CliError> {
        saved::write(path, &self.arguments, &self.made_on, &self.contestants)
    }

    fn print(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let heading = ["network", "parameters", "d_ff", "training loss", "validation", "perplexity", "dead units", "ms a step"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for contestant in &self.contestants {
            let last = contestant.evaluations.last();
            let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let text = |value: Option<f64>, digits: usize| value.filter(|v| !v.is_nan()).map_or("-".into(), |v| format!("{v:.digits$}"));
            rows.push(vec![
                contestant.name.clone(),
                contestant.parameters.to_string(),
                contestant.trainer.spec().d_ff.to_string(),
                text(Some(contestant.last_loss()), 4),
                text(last.map(|e| e.loss), 4),
                last.filter(|e| self.classification && !e.loss.is_nan()).map_or("-".into(), |e| perplexity(e.loss.exp())),
                last.map_or("-".into(), |e| format!("{:.1}%", 100.0 * mean(&e.dead))),
                text(Some(1e3 * contestant.step_seconds()), 1),
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
            "options": format!("{:?}", self.options),
            "networks": self.contestants.iter().map(|c| c.json(self.classification)).collect::<Vec<_>>(),
        })
    }
}
