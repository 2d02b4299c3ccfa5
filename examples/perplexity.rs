//! How much worse SmolLM2 predicts a text when its feed-forward weights are rounded, or their activation is another one: the
//! perplexity with each kind of weights, beside their bytes and the speed. Everything but the feed-forward layers is f32 on
//! the CPU and the same for all.
//!
//! scripts/fetch-models && cargo run --release --example perplexity -- --text FILE --tokens 2048

mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ffwd::weights::{FeedForwardWeights, read_gguf};
use ffwd::{Gate, Gpu};
use support::feed_forward::FeedForwards;
use support::kind::Kind;
use support::llama::{Cache, Llama};
use support::sampling::surprise;
use support::tokenizer::Tokenizer;
use support::{Result, fail, files, finish};

/// Rows whose logits are held at a time.
const ROWS: usize = 32;

/// Perplexity of SmolLM2-135M on a text, with its feed-forward weights in several kinds
#[derive(Debug, Parser)]
struct Options {
    /// A GGUF file of SmolLM2; default is where scripts/fetch-models puts it
    #[arg(long)]
    model: Option<PathBuf>,
    /// The text; default is this repository's README.md
    #[arg(long)]
    text: Option<PathBuf>,
    /// Tokens of the text that are read
    #[arg(long, default_value_t = 256)]
    tokens: usize,
    /// Tokens that are seen at once
    #[arg(long, default_value_t = 192)]
    window: usize,
    /// Tokens from one window to the next; those that overlap are context and are not counted again
    #[arg(long, default_value_t = 96)]
    stride: usize,
    /// Kinds of weights: stored, f32, f16, bf16, or a kind of blocks whose length divides the widths
    #[arg(long, value_delimiter = ',', default_value = "stored,f32,f16,bf16,q8_0,q4_1,q4_0", value_parser = Kind::parse)]
    elements: Vec<Kind>,
    /// Activations that stand in for SiLU, with the weights as stored
    #[arg(long = "activation", value_delimiter = ',', default_value = "relu,gelu")]
    activations: Vec<String>,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    // Misspelt names are told before anything is computed.
    options.activations.iter().try_for_each(|name| Gate::parse(name).map(drop))?;
    if options.stride == 0 || options.stride >= options.window {
        return fail(format!("a stride of {} tokens does not fit windows of {}", options.stride, options.window));
    }
    let path = files::model(options.model.clone(), files::SMOLLM2)?;
    let text = options.text.clone().unwrap_or_else(|| files::of_repository("README.md"));
    let text = std::fs::read_to_string(&text).map_err(|error| format!("{}: {error}", text.display()))?;
    let file = read_gguf(&path)?;
    let mut tokens = Tokenizer::new(&file)?.tokens(&text)?;
    tokens.truncate(options.tokens);
    if tokens.len() < 2 {
        return fail("a text of one token predicts nothing");
    }
    let gpu = Gpu::open(&Default::default())?;
    let llama = Llama::new(&file)?;
    let stored = llama.feed_forward_weights(&file)?;

    println!("{} tokens in windows of {}, every {}, on {}", tokens.len(), options.window, options.stride, gpu.info().name);
    println!("feed-forward weights   activation   perplexity      MB   tokens/s");
    let kinds = options.elements.iter().map(|kind| (*kind, None));
    let activations = options.activations.iter().map(|name| (Kind::Stored, Some(name.as_str())));
    for (kind, activation) in kinds.chain(activations) {
        let weights = stored.iter().map(|layer| kind.layer(layer)).collect::<Result<Vec<_>>>()?;
        let name = match kind {
            Kind::Stored => format!("stored ({})", weights.first().map_or("none", matrix_kind)),
            _ => kind.name().to_owned(),
        };
        let mut feed_forwards = FeedForwards::upload(&gpu, &weights, activation)?;
        let run = perplexity(&llama, &mut feed_forwards, &tokens, options)?;
        let megabytes = feed_forwards.bytes() as f64 / 1e6;
        println!("{name:20}   {:10}   {:10.4}   {megabytes:5.0}   {:8.1}", activation.unwrap_or("silu"), run.perplexity, run.rate);
    }
    Ok(())
}

struct Run {
    perplexity: f64,
    /// Tokens read in a second; those of overlaps count as often as they are read.
    rate: f64,
}

/// Every token is predicted from those before it in the first window that holds it.
fn perplexity(llama: &Llama, feed_forwards: &mut FeedForwards, tokens: &[u32], options: &Options) -> Result<Run> {
    let (mut surprises, mut predicted) = (0.0, 0);
    let (mut read, mut seconds, mut end) = (0, 0.0, 1);
    for start in (0..tokens.len()).step_by(options.stride) {
        let window = &tokens[start..tokens.len().min(start + options.window)];
        // Kernels are compiled before the clock starts.
        feed_forwards.prepare(window.len())?;
        let started = Instant::now();
        let hidden = llama.forward(feed_forwards, &mut Cache::default(), window)?;
        // The state of a token predicts the next one.
        let first = end - start - 1;
        let states = hidden.chunks(llama.width()).zip(&window[1..]).skip(first);
        for batch in states.collect::<Vec<_>>().chunks(ROWS) {
            let rows: Vec<f32> = batch.iter().flat_map(|(row, _)| row.iter().copied()).collect();
            for (logits, (_, next)) in llama.logits(&rows).chunks(llama.vocabulary()).zip(batch) {
                surprises += surprise(logits, **next).ok_or("a token beyond the vocabulary")?;
                predicted += 1;
            }
        }
        seconds += started.elapsed().as_secs_f64();
        read += window.len();
        end = start + window.len();
        if end == tokens.len() {
            break;
        }
    }
    Ok(Run { perplexity: (surprises / f64::from(predicted)).exp(), rate: read as f64 / seconds })
}

fn matrix_kind(weights: &FeedForwardWeights) -> &'static str {
    weights.matrices().first().map_or("none", |(_, weight)| weight.kind())
}
