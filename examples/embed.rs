//! Sentence embeddings by all-MiniLM-L6-v2 and how alike they are. Its six GELU layers run on the GPU; everything else runs on
//! the CPU (examples/support). `--check` holds the layers against the scalar oracle on the hidden states that they really
//! had, and the embeddings against Hugging Face's.
//!
//! scripts/fetch-models && cargo run --release --example embed -- "A cat sleeps." "A dog naps."

mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use ffwd::Gpu;
use support::bert::Bert;
use support::feed_forward::FeedForwards;
use support::kind::Kind;
use support::{Result, check, fail, files, finish, reference};

/// How far an element of an embedding of length 1 may be from the reference's, which is f64. A sum of 1536 numbers in f32 wanders
/// off by some sqrt(1536) roundings of 2^-24; six layers may add theirs; an element is about 1 / sqrt(384).
const ELEMENT: f64 = 6.0 * 39.2 / 16_777_216.0 / 19.6;

/// Sentence embeddings by all-MiniLM-L6-v2
#[derive(Debug, Parser)]
struct Options {
    /// The folder of the model; default is where scripts/fetch-models puts it
    #[arg(long)]
    model: Option<PathBuf>,
    /// What the feed-forward weights are on the GPU: stored, f32, f16, bf16, q8_0 and so on
    #[arg(long, default_value = "stored", value_parser = Kind::parse)]
    element: Kind,
    /// Print the embeddings as JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Compare with the oracle and with tests/data/reference, and fail where something is out of bounds
    #[arg(long, conflicts_with_all = ["sentences", "json"])]
    check: bool,
    /// Sentences to compare
    #[arg(default_values_t = [
        "The cat sleeps on the warm windowsill.",
        "A kitten is napping in the sun.",
        "The compiler rejects a borrow that outlives its owner.",
        "Rust refuses references to what is gone.",
    ].map(str::to_owned))]
    sentences: Vec<String>,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let path = files::model(options.model.clone(), files::MINILM)?;
    let gpu = Gpu::open(&Default::default())?;
    let bert = Bert::new(&path)?;
    let stored = bert.feed_forward_weights(&path)?;
    let weights = stored.iter().map(|layer| options.element.layer(layer)).collect::<Result<Vec<_>>>()?;
    let mut feed_forwards = FeedForwards::upload(&gpu, &weights, None)?;

    if options.check {
        let references = reference::embeddings()?;
        let sentences: Vec<String> = references.iter().map(|(sentence, _)| sentence.clone()).collect();
        feed_forwards.remember();
        let embeddings = bert.embed(&mut feed_forwards, &sentences)?;
        check::print_layers(&weights, &feed_forwards.recall())?;
        if !options.element.is_exact() {
            println!("rounded weights are not those of the reference: no embedding is compared");
            return Ok(());
        }
        for (ours, (sentence, theirs)) in embeddings.iter().zip(&references) {
            compare(sentence, ours, theirs)?;
        }
        return Ok(());
    }

    let started = Instant::now();
    let embeddings = bert.embed(&mut feed_forwards, &options.sentences)?;
    let (seconds, layers) = (started.elapsed().as_secs_f64(), feed_forwards.time().as_secs_f64());
    if options.json {
        println!("{}", serde_json::json!({ "embeddings": embeddings }));
        return Ok(());
    }
    println!("cosine of each two sentences:");
    for (sentence, a) in options.sentences.iter().zip(&embeddings) {
        let cosines: Vec<String> = embeddings.iter().map(|b| format!("{:6.3}", support::matrix::dot(a, b))).collect();
        println!("  {}   {sentence}", cosines.join(" "));
    }
    println!("{seconds:.3} s with kernels compiled, {layers:.3} s of it in feed-forward layers on {}", gpu.info().name);
    Ok(())
}

/// Prints how far an embedding is from the reference's.
fn compare(sentence: &str, ours: &[f32], theirs: &[f64]) -> Result<()> {
    let errors = ours.iter().zip(theirs).map(|(ours, theirs)| (f64::from(*ours) - theirs).abs());
    let error = check::largest(errors);
    println!("{sentence:?}: largest difference {error:.1e} of {ELEMENT:.1e}");
    if ours.len() == theirs.len() && (..=ELEMENT).contains(&error) {
        return Ok(());
    }
    fail(format!("an embedding of {} elements is off by {error:.1e} from the reference's of {}", ours.len(), theirs.len()))
}
