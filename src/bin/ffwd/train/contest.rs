//! One network of a comparison, in training.

use std::time::Instant;

use ffwd::train::{Evaluation, NetworkSpec, Record, Task, Trainer, TrainerOptions};
use ffwd::weights::{HostData, HostTensor, Tensors};
use ffwd::{Element, Error, Gpu};
use serde_json::{Value, json};

use super::course::Course;
use crate::error::{CliError, message};

/// Under which a checkpoint holds a network's records, and the words of each.
const RECORDS: &str = "records";
const WORDS: usize = 5;

/// A network, what it did so far, and why it stopped.
#[derive(Debug)]
pub struct Contestant {
    pub name: String,
    pub trainer: Trainer,
    pub parameters: u64,
    pub records: Vec<Record>,
    pub evaluations: Vec<Evaluation>,
    /// Seconds of a step, measured over several.
    seconds: Vec<f64>,
    /// Set where it cannot go on.
    pub failure: Option<String>,
}

impl Contestant {
    pub fn new(gpu: &Gpu, name: &str, spec: &NetworkSpec, task: &Task, options: &TrainerOptions) -> Result<Self, CliError> {
        let trainer = Trainer::new(gpu, spec, task, options)?;
        let parameters = trainer.parameters().map(|(_, tensor)| tensor.len() as u64).sum();
        let name = name.to_owned();
        Ok(Self { name, trainer, parameters, records: Vec::new(), evaluations: Vec::new(), seconds: Vec::new(), failure: None })
    }

    /// So many steps, timed together.
    pub fn steps(&mut self, gpu: &Gpu, count: u32) -> Result<(), CliError> {
        gpu.wait()?;
        let start = Instant::now();
        let done = (0..count).try_for_each(|_| self.trainer.step()).and_then(|()| gpu.wait());
        self.seconds.push(start.elapsed().as_secs_f64() / f64::from(count.max(1)));
        let records = done.and_then(|()| self.trainer.records());
        if let Some(records) = self.note(records)? {
            self.records.extend(records);
        } else {
            // What led to a failure is known all the same.
            self.records.extend(self.trainer.records()?);
        }
        Ok(())
    }

    /// Measures it.
    pub fn evaluate(&mut self) -> Result<(), CliError> {
        let evaluation = self.trainer.evaluate();
        self.note(evaluation).map(|evaluation| self.evaluations.extend(evaluation))
    }

    /// Keeps a failure of this network's training to itself: the others go on.
    fn note<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, CliError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ Error::Training { .. }) => {
                self.failure = Some(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Median time of a step, in seconds; not a number where none was taken.
    pub fn step_seconds(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Mean loss of the last twentieth of its steps; not a number where none was taken.
    pub fn last_loss(&self) -> f64 {
        let count = self.records.len().div_ceil(20);
        let last = &self.records[self.records.len() - count..];
        last.iter().map(|record| f64::from(record.loss)).sum::<f64>() / count as f64
    }

    /// For the picture.
    pub fn course(&self) -> Course {
        Course {
            name: self.name.clone(),
            parameters: self.parameters,
            losses: self.records.iter().map(|record| record.loss).collect(),
            evaluations: self.evaluations.clone(),
            // Nothing where none was taken.
            step_ms: 1e3 * if self.seconds.is_empty() { 0.0 } else { self.step_seconds() },
            failed: self.failure.is_some(),
        }
    }

    /// What it did, for programs; numbers that are not finite are null.
    pub fn json(&self, classification: bool) -> Value {
        let step = |r: &Record| json!([r.step, r.loss, r.gradient_norm, r.rate, r.scale]);
        let evaluation = |e: &Evaluation| {
            let mut value = json!({"step": e.step, "loss": e.loss, "dead": e.dead, "gradient_norms": e.gradient_norms});
            if classification {
                value["perplexity"] = json!(e.loss.exp());
            }
            value
        };
        json!({
            "name": self.name,
            "parameters": self.parameters,
            "d_ff": self.trainer.spec().d_ff,
            "memory_bytes": self.trainer.memory().total(),
            "step_seconds": self.step_seconds(),
            "failure": self.failure,
            "step_fields": ["step", "loss", "gradient_norm", "rate", "loss_scale"],
            "steps": self.records.iter().map(step).collect::<Vec<_>>(),
            "evaluations": self.evaluations.iter().map(evaluation).collect::<Vec<_>>(),
        })
    }

    /// Its tensors for a checkpoint, under its name.
    pub fn tensors(&self) -> Result<Vec<(String, HostTensor)>, CliError> {
        let mut tensors = self.trainer.checkpoint()?;
        let words = |r: &Record| [r.step, r.loss.to_bits(), r.gradient_norm.to_bits(), r.rate.to_bits(), r.scale.to_bits()];
        let bytes = self.records.iter().flat_map(words).flat_map(u32::to_le_bytes).collect();
        let data = HostData { element: Element::F32, bytes };
        tensors.push((RECORDS.to_owned(), HostTensor { shape: vec![self.records.len(), WORDS], data }));
        Ok(tensors.into_iter().map(|(name, tensor)| (format!("{}/{name}", self.name), tensor)).collect())
    }

    /// What else it did, for a checkpoint: as bits, so that nothing is lost.
    pub fn history(&self) -> Value {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let evaluation = |e: &Evaluation| json!([e.step, e.loss.to_bits(), bits(&e.dead), bits(&e.gradient_norms)]);
        json!({
            "evaluations": self.evaluations.iter().map(evaluation).collect::<Vec<_>>(),
            "failure": self.failure,
        })
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, tensors: &Tensors, history: &Value) -> Result<(), CliError> {
        let get = |name: &str| tensors.get(&format!("{}/{name}", self.name)).map_err(CliError::from);
        self.trainer.restore(get)?;
        let Some((evaluations, failure)) = read_history(history) else {
            return message(format!("{}: its metadata does not say what `{}` did", tensors.file().display(), self.name));
        };
        (self.evaluations, self.failure) = (evaluations, failure);
        let HostTensor { shape, data } = get(RECORDS)?;
        let words: Vec<u32> = data.bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let record = |r: &[u32; WORDS]| {
            let [loss, gradient_norm, rate, scale] = [r[1], r[2], r[3], r[4]].map(f32::from_bits);
            Record { step: r[0], loss, gradient_norm, rate, scale }
        };
        self.records = words.as_chunks().0.iter().map(record).collect();
        if self.records.len() != self.trainer.taken() as usize {
            let (file, name, taken) = (tensors.file().display(), &self.name, self.trainer.taken());
            return message(format!("{file}: `{name}/{RECORDS}` has shape {shape:?}; [{taken}, {WORDS}] is needed, one row a step"));
        }
        Ok(())
    }
}

/// Evaluations and the failure, if there was one; `None` where they are not what [`Contestant::history`] makes.
fn read_history(history: &Value) -> Option<(Vec<Evaluation>, Option<String>)> {
    let doubles = |value: &Value| value.as_array()?.iter().map(|v| Some(f64::from_bits(v.as_u64()?))).collect::<Option<Vec<_>>>();
    let evaluation = |e: &Value| {
        let step = u32::try_from(e[0].as_u64()?).ok()?;
        Some(Evaluation { step, loss: f64::from_bits(e[1].as_u64()?), dead: doubles(&e[2])?, gradient_norms: doubles(&e[3])? })
    };
    let evaluations = history["evaluations"].as_array()?.iter().map(evaluation).collect::<Option<_>>()?;
    match &history["failure"] {
        Value::Null => Some((evaluations, None)),
        failure => Some((evaluations, Some(failure.as_str()?.to_owned()))),
    }
}
