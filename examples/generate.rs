//! SmolLM2-135M answers a question, token by token. Its thirty SwiGLU layers run on the GPU; embedding, attention and
//! everything else run on the CPU (examples/support). `--check` holds the layers against the scalar oracle on the hidden
//! states that they really had, and the tokens against Hugging Face's.
//!
//! scripts/fetch-models && cargo run --release --example generate -- --prompt "What is a lighthouse?"

mod support;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ffwd::Gpu;
use ffwd::weights::{FeedForwardWeights, read_gguf};
use support::feed_forward::FeedForwards;
use support::kind::Kind;
use support::llama::{Cache, Llama};
use support::reference::{self, Continuation};
use support::sampling::{Sampler, best_two};
use support::tokenizer::Tokenizer;
use support::{Result, check, files, finish};

/// Tokens that --check has the oracle compute besides those of a prompt.
const CHECKED: usize = 8;

/// SmolLM2-135M answers a question
#[derive(Debug, Parser)]
struct Options {
    /// A GGUF file of SmolLM2; default is where scripts/fetch-models puts it
    #[arg(long)]
    model: Option<PathBuf>,
    /// The question
    #[arg(long, default_value = "Why is the sky blue?")]
    prompt: String,
    /// Most tokens of the answer
    #[arg(long, default_value_t = 24)]
    tokens: usize,
    /// What the feed-forward weights are on the GPU: stored, f32, f16, bf16, q8_0 and so on
    #[arg(long, default_value = "stored", value_parser = Kind::parse)]
    element: Kind,
    /// 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Draw from the likeliest tokens that have this share together
    #[arg(long, default_value_t = 0.9)]
    top_p: f32,
    /// Of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print tokens, logits and times as JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Compare with the oracle and with tests/data/reference, and fail where something is out of bounds
    #[arg(long, conflicts_with_all = ["prompt", "json", "temperature"])]
    check: bool,
}

/// The model, in two parts.
struct Model {
    tokenizer: Tokenizer,
    llama: Llama,
    weights: Vec<FeedForwardWeights>,
    feed_forwards: FeedForwards,
}

/// How long it took.
struct Times {
    prompt: Duration,
    generation: Duration,
    /// In feed-forward layers, of each.
    prompt_layers: Duration,
    generation_layers: Duration,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let path = files::model(options.model.clone(), files::SMOLLM2)?;
    let gpu = Gpu::open(&Default::default())?;
    let mut model = Model::new(&gpu, &path, options.element)?;
    if options.check {
        return model.check(options.element);
    }

    let mut sampler = Sampler::new(options.temperature, options.top_p, options.seed);
    let (continuation, times) = model.continued(&options.prompt, options.tokens, &mut sampler, |text| {
        if !options.json {
            print!("{text}");
            std::io::stdout().flush()?;
        }
        Ok(())
    })?;
    if options.json {
        let mut document = continuation.as_json();
        document["seconds"] = times.as_json();
        println!("{document}");
    } else {
        println!("\n");
        times.print(&continuation);
        println!(
            "feed-forward layers: {}, {:.0} MB on {}",
            options.element.name(),
            model.feed_forwards.bytes() as f64 / 1e6,
            gpu.info().name
        );
    }
    Ok(())
}

impl Model {
    fn new(gpu: &Gpu, path: &std::path::Path, kind: Kind) -> Result<Self> {
        let file = read_gguf(path)?;
        let llama = Llama::new(&file)?;
        let stored = llama.feed_forward_weights(&file)?;
        let weights = stored.iter().map(|layer| kind.layer(layer)).collect::<Result<Vec<_>>>()?;
        let feed_forwards = FeedForwards::upload(gpu, &weights, None)?;
        Ok(Self { tokenizer: Tokenizer::new(&file)?, llama, weights, feed_forwards })
    }

    /// Goes on for `tokens` tokens, or until the answer ends; `each` is told the text as it comes.
    fn continued(
        &mut self,
        prompt: &str,
        tokens: usize,
        sampler: &mut Sampler,
        mut each: impl FnMut(&str) -> Result<()>,
    ) -> Result<(Continuation, Times)> {
        let prompt_ids = self.tokenizer.question(prompt)?;
        // Kernels are compiled before the clock starts.
        self.feed_forwards.prepare(prompt_ids.len())?;
        self.feed_forwards.prepare(1)?;

        let mut cache = Cache::default();
        let (started, layers) = (Instant::now(), self.feed_forwards.time());
        let mut hidden = self.llama.forward(&mut self.feed_forwards, &mut cache, &prompt_ids)?;
        let last = hidden.len() - self.llama.width();
        let mut logits = self.llama.logits(&hidden[last..]);
        let (after_prompt, layers_after_prompt) = (Instant::now(), self.feed_forwards.time());

        let mut text = self.tokenizer.stream();
        let mut told = Continuation { prompt: prompt.to_owned(), prompt_ids, ..Continuation::default() };
        while told.ids.len() < tokens {
            let ((_, best), (_, second)) = best_two(&logits);
            let token = sampler.choose(&logits);
            told.ids.push(token);
            told.logits.push(logits[token as usize].into());
            told.margins.push((best - second).into());
            each(&text(token)?)?;
            if token == self.tokenizer.end() || told.ids.len() == tokens {
                break;
            }
            hidden = self.llama.forward(&mut self.feed_forwards, &mut cache, &[token])?;
            logits = self.llama.logits(&hidden);
        }
        let times = Times {
            prompt: after_prompt - started,
            generation: after_prompt.elapsed(),
            prompt_layers: layers_after_prompt - layers,
            generation_layers: self.feed_forwards.time() - layers_after_prompt,
        };
        Ok((told, times))
    }

    /// The layers beside the oracle, the answers beside the reference.
    fn check(&mut self, kind: Kind) -> Result<()> {
        let references = reference::continuations()?;
        let mut greedy = Sampler::new(0.0, 1.0, 0);
        if let Some(first) = references.first() {
            self.feed_forwards.remember();
            // The last token is not fed back.
            self.continued(&first.prompt, CHECKED + 1, &mut greedy, |_| Ok(()))?;
            check::print_layers(&self.weights, &self.feed_forwards.recall())?;
        }
        if !kind.is_exact() {
            println!("rounded weights are not those of the reference: no token is compared");
            return Ok(());
        }
        for reference in &references {
            let (ours, _) = self.continued(&reference.prompt, reference.ids.len(), &mut greedy, |_| Ok(()))?;
            ours.compare(reference)?;
        }
        Ok(())
    }
}

impl Times {
    fn print(&self, told: &Continuation) {
        let line = |what: &str, tokens: usize, all: Duration, layers: Duration| {
            let (all, layers) = (all.as_secs_f64(), layers.as_secs_f64());
            let rate = tokens as f64 / all;
            println!("{what:10} {tokens:4} tokens, {rate:6.1} tokens/s, {:3.0} % of the time in feed-forward layers", 100.0 * layers / all);
        };
        line("prompt", told.prompt_ids.len(), self.prompt, self.prompt_layers);
        // The first token came of the prompt.
        line("generation", told.ids.len().saturating_sub(1), self.generation, self.generation_layers);
    }

    fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "prompt": self.prompt.as_secs_f64(),
            "prompt_feed_forward": self.prompt_layers.as_secs_f64(),
            "generation": self.generation.as_secs_f64(),
            "generation_feed_forward": self.generation_layers.as_secs_f64(),
        })
    }
}
