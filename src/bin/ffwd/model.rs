//! `ffwd model`: what a model's feed-forward layers are, from its headers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use ffwd::routing::Scoring;
use ffwd::weights::{LayerFacts, MixtureFacts, Model};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::table::{self, Align, grouped};

/// Options of `ffwd model`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GGUF or safetensors file, or Hugging Face directory
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Layers that follow one another and are alike.
struct Run<'a> {
    first: usize,
    last: usize,
    facts: &'a LayerFacts,
}

/// Prints what the headers say.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), CliError> {
    let model = Model::open(&args.path)?;
    let layers = model.layers().map(|layer| Ok((layer, model.facts(layer)?))).collect::<Result<Vec<_>, CliError>>()?;
    let mut stored: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, bytes) in layers.iter().flat_map(|(_, facts)| &facts.stored) {
        let sum = stored.entry(kind).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    let architecture = model.architecture();
    if args.json {
        let layers: Vec<_> = layers.iter().map(|(layer, facts)| as_json(*layer, facts)).collect();
        let file = model.file().display().to_string();
        let value = json!({ "file": file, "architecture": architecture, "layers": layers, "stored": stored });
        return Ok(writeln!(out, "{value:#}")?);
    }
    let plural = if layers.len() == 1 { "" } else { "s" };
    // The name is the file's, and may hold anything.
    let architecture = architecture.map_or_else(|| "architecture not said".into(), |name| name.escape_debug().to_string());
    writeln!(out, "{}: {architecture}, {} layer{plural}\n", model.file().display(), layers.len())?;
    let runs = runs(&layers);
    let align = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    table::print(out, &align, &network_rows(&runs))?;
    if runs.iter().any(|run| run.facts.mixture.is_some()) {
        let align = [Align::Left, Align::Right, Align::Right, Align::Left, Align::Left, Align::Right];
        writeln!(out)?;
        table::print(out, &align, &mixture_rows(&runs))?;
    }
    writeln!(out)?;
    let kinds = stored.iter().map(|(kind, bytes)| vec![(*kind).to_owned(), grouped(*bytes)]);
    let heading = ["stored as", "bytes"].map(str::to_owned).into();
    table::print(out, &[Align::Left, Align::Right], &std::iter::once(heading).chain(kinds).collect::<Vec<_>>())
}

/// Where they are stored differently, layers are alike still: files mix kinds.
fn runs(layers: &[(usize, LayerFacts)]) -> Vec<Run<'_>> {
    let alike = |a: &LayerFacts, b: &LayerFacts| {
        let without = |facts: &LayerFacts| LayerFacts { stored: BTreeMap::new(), ..facts.clone() };
        without(a) == without(b)
    };
    let mut runs: Vec<Run> = Vec::new();
    for (layer, facts) in layers {
        match runs.last_mut() {
            Some(run) if run.last.checked_add(1) == Some(*layer) && alike(run.facts, facts) => run.last = *layer,
            _ => runs.push(Run { first: *layer, last: *layer, facts }),
        }
    }
    runs
}

impl Run<'_> {
    fn numbers(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) }
    }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.into()
}

fn network_rows(runs: &[Run]) -> Vec<Vec<String>> {
    let heading = ["layers", "network", "activation", "d_model", "d_ff", "biases"].map(str::to_owned).into();
    let row = |run: &Run| {
        let LayerFacts { d_model, d_ff, gated, biases, activation, mixture, .. } = run.facts;
        let network = match (mixture, gated) {
            (Some(_), _) => "mixture",
            (None, true) => "gated",
            (None, false) => "dense",
        };
        let activation = activation.as_deref().map_or_else(|| "not said".into(), |name| name.escape_debug().to_string());
        vec![run.numbers(), network.into(), activation, grouped(*d_model as u64), grouped(*d_ff as u64), yes(*biases)]
    };
    std::iter::once(heading).chain(runs.iter().map(row)).collect()
}

fn mixture_rows(runs: &[Run]) -> Vec<Vec<String>> {
    let heading = ["layers", "experts", "a token", "scores", "normalised", "shared d_ff"].map(str::to_owned).into();
    let row = |run: &Run| {
        let MixtureFacts { experts, routing, shared_d_ff } = run.facts.mixture.as_ref()?;
        let scale = if routing.scale == 1.0 { String::new() } else { format!(" x {}", routing.scale) };
        Some(vec![
            run.numbers(),
            grouped(*experts as u64),
            routing.top_k.to_string(),
            format!("{}{scale}", scoring(routing.scoring)),
            yes(routing.normalise),
            shared_d_ff.map_or("-".into(), |d_ff| grouped(d_ff as u64)),
        ])
    };
    std::iter::once(heading).chain(runs.iter().filter_map(row)).collect()
}

fn scoring(scoring: Scoring) -> &'static str {
    match scoring {
        Scoring::Softmax => "softmax",
        Scoring::Sigmoid => "sigmoid",
    }
}

fn as_json(layer: usize, facts: &LayerFacts) -> Value {
    let LayerFacts { d_model, d_ff, gated, biases, activation, mixture, stored } = facts;
    let mixture = mixture.as_ref().map(|MixtureFacts { experts, routing, shared_d_ff }| {
        json!({
            "experts": experts,
            "per_token": routing.top_k,
            "scoring": scoring(routing.scoring),
            "normalised": routing.normalise,
            "scale": routing.scale,
            "shared_d_ff": shared_d_ff,
        })
    });
    json!({
        "layer": layer,
        "d_model": d_model,
        "d_ff": d_ff,
        "gated": gated,
        "biases": biases,
        "activation": activation,
        "mixture": mixture,
        "stored": stored,
    })
}
