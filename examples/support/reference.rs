//! What an independent implementation answered: tests/data/reference.

use std::path::Path;

use serde_json::{Value, json};

use super::check::largest;
use super::{Result, fail, files};

/// How far a logit may be from the reference's: five times the most that was seen between two f32 evaluations, see
/// tests/data/reference/README.md. f16 weights move logits by fifteen times this.
const LOGIT: f64 = 5e-4;

/// A prompt and how it goes on, greedily.
#[derive(Debug, Default)]
pub struct Continuation {
    pub prompt: String,
    pub prompt_ids: Vec<u32>,
    pub ids: Vec<u32>,
    /// The logit of each of them.
    pub logits: Vec<f64>,
    /// How much smaller the second largest logit was.
    pub margins: Vec<f64>,
}

impl Continuation {
    /// For programs.
    pub fn as_json(&self) -> Value {
        let Self { prompt, prompt_ids, ids, logits, margins } = self;
        json!({ "prompt": prompt, "prompt_ids": prompt_ids, "ids": ids, "logits": logits, "margins": margins })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let ids = |key: &str| -> Option<Vec<u32>> { value[key].as_array()?.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect() };
        let prompt = value["prompt"].as_str()?.to_owned();
        let (logits, margins) = (numbers(&value["logits"])?, numbers(&value["margins"])?);
        let read = Self { prompt, prompt_ids: ids("prompt_ids")?, ids: ids("ids")?, logits, margins };
        (read.ids.len() == read.logits.len() && read.ids.len() == read.margins.len()).then_some(read)
    }

    /// Prints how this agrees with the reference. Logits must, within [`LOGIT`], as long as the tokens do; and the tokens must
    /// until two logits are closer than logits need to agree.
    pub fn compare(&self, reference: &Self) -> Result<()> {
        if self.prompt_ids != reference.prompt_ids {
            return fail(format!("{:?} became other tokens than the reference's", self.prompt));
        }
        let steps = reference.ids.len();
        let same = self.ids.iter().zip(&reference.ids).take_while(|(ours, theirs)| ours == theirs).count();
        let errors = self.logits.iter().zip(&reference.logits).take(same).map(|(ours, theirs)| (ours - theirs).abs());
        let error = largest(errors);
        println!("{:?}: {same} of {steps} tokens agree, logits within {error:.1e}", self.prompt);
        if !(..=LOGIT).contains(&error) {
            return fail(format!("a logit is off by {error:.1e}, more than {LOGIT:.1e}"));
        }
        match reference.margins.get(same) {
            None => Ok(()),
            Some(margin) if *margin <= 2.0 * LOGIT => {
                println!("  from there on nothing can be compared: the reference's best two logits were {margin:.1e} apart");
                Ok(())
            }
            Some(margin) => fail(format!("token {same} differs, and the reference's best two logits were {margin:.1e} apart")),
        }
    }
}

/// SmolLM2's continuations.
pub fn continuations() -> Result<Vec<Continuation>> {
    let path = files::of_repository("tests/data/reference/smollm2.json");
    let read = json(&path)?["cases"].as_array().and_then(|cases| cases.iter().map(Continuation::from_json).collect());
    read.ok_or_else(|| format!("{}: not what scripts/compare-generation writes", path.display()).into())
}

/// Sentences and MiniLM's embeddings of them.
pub fn embeddings() -> Result<Vec<(String, Vec<f64>)>> {
    let path = files::of_repository("tests/data/reference/minilm.json");
    let case = |case: &Value| Some((case["sentence"].as_str()?.to_owned(), numbers(&case["embedding"])?));
    let read = json(&path)?["cases"].as_array().and_then(|cases| cases.iter().map(case).collect());
    read.ok_or_else(|| format!("{}: not what scripts/compare-embeddings writes", path.display()).into())
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}
