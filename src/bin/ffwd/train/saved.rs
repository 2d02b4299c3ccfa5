//! Checkpoints of a comparison: a safetensors file with every network's tensors, and in its metadata what else is needed.

use std::collections::BTreeMap;
use std::path::Path;

use ffwd::weights::{read_safetensors, write_safetensors_with};
use serde_json::{Value, json};

use super::contest::Contestant;
use crate::error::{CliError, message};

/// Under which the metadata holds it.
const KEY: &str = "ffwd.train";

/// Writes a checkpoint: whole or not at all.
pub fn write(path: &Path, arguments: &[String], made_on: &MadeOn, contestants: &[Contestant]) -> Result<(), CliError> {
    let mut tensors = Vec::new();
    for contestant in contestants {
        tensors.extend(contestant.tensors()?);
    }
    let networks: serde_json::Map<String, Value> = contestants.iter().map(|c| (c.name.clone(), c.history())).collect();
    let MadeOn { task, adapter } = made_on;
    let about = json!({"arguments": arguments, "task": task, "adapter": adapter, "networks": networks});
    Ok(write_safetensors_with(path, &tensors, &BTreeMap::from([(KEY.to_owned(), about.to_string())]))?)
}

/// What the bits of a course depend on besides the command line.
#[derive(Debug)]
pub struct MadeOn {
    /// The task in words, with a sum of its data.
    pub task: String,
    /// Adapter, driver and version of this program.
    pub adapter: String,
}

/// What a checkpoint says of itself.
pub fn about(path: &Path) -> Result<Value, CliError> {
    let tensors = read_safetensors(path)?;
    match tensors.metadata().get(KEY).map(|text| serde_json::from_str(text)) {
        Some(Ok(about)) => Ok(about),
        Some(Err(error)) => message(format!("{}: metadata {KEY}: {error}", path.display())),
        None => message(format!("{}: no checkpoint of `ffwd train`: metadata {KEY} is missing", path.display())),
    }
}

/// The command line that a checkpoint was made by.
pub fn arguments(path: &Path, about: &Value) -> Result<Vec<String>, CliError> {
    let arguments = about["arguments"].as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    match arguments {
        Some(Some(arguments)) => Ok(arguments),
        _ => message(format!("{}: the command line in its metadata is not a list of texts", path.display())),
    }
}

/// Puts every network where the checkpoint left it. What it returns is to be told: on another adapter it goes on, but not bit
/// for bit.
pub fn restore(path: &Path, about: &Value, made_on: &MadeOn, contestants: &mut [Contestant]) -> Result<Option<String>, CliError> {
    let text = |key: &str| about[key].as_str().unwrap_or_default();
    if text("task") != made_on.task {
        return message(format!("{}: made on another task, {}; this is {}", path.display(), text("task"), made_on.task));
    }
    let tensors = read_safetensors(path)?;
    contestants.iter_mut().try_for_each(|contestant| contestant.restore(&tensors, &about["networks"][&contestant.name]))?;
    let other =
        (text("adapter") != made_on.adapter).then(|| format!("made on {}: the same course, but not the same bits", text("adapter")));
    Ok(other)
}
