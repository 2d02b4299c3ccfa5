//! One network of a comparison, in training.

use std::time::Instant;

use ffwd::train::{Evaluation, NetworkSpec, Record, Task, Trainer, TrainerOptions};
use ffwd::weights::{HostTensor, Tensors};
use ffwd::{Error, Gpu};
use serde_json::{Value, json};

use super::course::{self, Course};
use crate::error::CliError;

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
        self.note(records).map(|records| self.records.extend(records.unwrap_or_default()))
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

    /// Median time of a step, in seconds.
    pub fn step_seconds(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    /// Mean loss of the last twentieth of its steps.
    pub fn last_loss(&self) -> f64 {
        let count = self.records.len().div_ceil(20);
        let last = &self.records[self.records.len() - count..];
        last.iter().map(|record| f64::from(record.loss)).sum::<f64>() / count.max(1) as f64
    }

    /// For the picture.
    pub fn course(&self) -> Course {
        let evaluation = |e: &Evaluation| course::Evaluation {
            step: e.step.into(),
            loss: e.loss,
            dead: e.dead.clone(),
            gradient_norms: e.gradient_norms.clone(),
        };
        Course {
            name: self.name.clone(),
            parameters: self.parameters,
            losses: self.records.iter().map(|record| record.loss).collect(),
            evaluations: self.evaluations.iter().map(evaluation).collect(),
            step_ms: 1e3 * self.step_seconds(),
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
        let tensors = self.trainer.checkpoint()?;
        Ok(tensors.into_iter().map(|(name, tensor)| (format!("{}/{name}", self.name), tensor)).collect())
    }

    /// What it did, for a checkpoint: as bits, so that nothing is lost.
    pub fn history(&self) -> Value {
        let record = |r: &Record| json!([r.step, r.loss.to_bits(), r.gradient_norm.to_bits(), r.rate.to_bits(), r.scale.to_bits()]);
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let evaluation = |e: &Evaluation| json!([e.step, e.loss.to_bits(), bits(&e.dead), bits(&e.gradient_norms)]);
        json!({
            "records": self.records.iter().map(record).collect::<Vec<_>>(),
            "evaluations": self.evaluations.iter().map(evaluation).collect::<Vec<_>>(),
            "failure": self.failure,
        })
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, tensors: &Tensors, history: &Value) -> Result<(), CliError> {
        let name = self.name.clone();
        self.trainer.restore(|tensor| tensors.get(&format!("{name}/{tensor}")).map_err(CliError::from))?;
        let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let word = |value: &Value, k: usize| value[k].as_u64().unwrap_or(0) as u32;
        let single = |value: &Value, k| f32::from_bits(word(value, k));
        let double = |value: &Value| f64::from_bits(value.as_u64().unwrap_or(0));
        let doubles = |value: &Value| array(value).iter().map(double).collect();
        let records = array(&history["records"]);
        self.records = records
            .iter()
            .map(|r| Record { step: word(r, 0), loss: single(r, 1), gradient_norm: single(r, 2), rate: single(r, 3), scale: single(r, 4) })
            .collect();
        let evaluations = array(&history["evaluations"]);
        self.evaluations = evaluations
            .iter()
            .map(|e| Evaluation { step: word(e, 0), loss: double(&e[1]), dead: doubles(&e[2]), gradient_norms: doubles(&e[3]) })
            .collect();
        self.failure = history["failure"].as_str().map(str::to_owned);
        Ok(())
    }
}
