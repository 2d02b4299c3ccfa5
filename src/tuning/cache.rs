//! What was measured before, in a file: one for all adapters, drivers and versions of a user.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};
use serde_json::{Map, Value, json};

use super::Strategy;

/// Says whose choices a file holds.
const FORMAT: &str = "ffwd-tuning/1";
/// A file longer than this is not ours.
const MOST_BYTES: u64 = 16 << 20;

/// A measured choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The fastest.
    pub strategy: Strategy,
    /// Its median time, in seconds.
    pub seconds: f64,
}

/// The choices of one adapter, by class of product. A file that cannot be read or is not ours counts as empty, with a
/// warning in the log, and is replaced when something is remembered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    path: Option<PathBuf>,
    adapter: String,
    choices: BTreeMap<String, Choice>,
}

impl Cache {
    /// The user's file: `$FFWD_CACHE_DIR/tuning.json`, else `ffwd/tuning.json` in the system's folder for caches. `None`
    /// where the system has none.
    pub fn default_path() -> Option<PathBuf> {
        let folder = std::env::var_os("FFWD_CACHE_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        folder.or_else(|| Some(choose_native_strategy().ok()?.cache_dir().join("ffwd"))).map(|folder| folder.join("tuning.json"))
    }

    /// What a file says of `adapter`: a key that names the adapter, its driver and this crate's version. Without a path
    /// nothing outlives the process.
    pub fn open(path: Option<PathBuf>, adapter: &str) -> Self {
        let choices = path.as_deref().map(read).unwrap_or_default();
        let choices = choices.get(adapter).map(parse).unwrap_or_default();
        Self { path, adapter: adapter.into(), choices }
    }

    /// The choice for a class.
    pub fn get(&self, class: &str) -> Option<Choice> {
        self.choices.get(class).copied()
    }

    /// Every choice by its class.
    pub fn choices(&self) -> impl Iterator<Item = (&str, Choice)> {
        self.choices.iter().map(|(class, choice)| (class.as_str(), *choice))
    }

    /// Remembers a choice, and keeps whatever other processes have written in the meantime.
    ///
    /// # Errors
    /// Where the file cannot be written; the choice is remembered for this process all the same.
    pub fn remember(&mut self, class: &str, choice: Choice) -> io::Result<()> {
        self.choices.insert(class.into(), choice);
        let Some(path) = &self.path else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let lock = File::create(path.with_extension("lock"))?;
        lock.lock()?;
        let mut adapters = read(path);
        let mut of: BTreeMap<_, _> = adapters.get(&self.adapter).map(parse).unwrap_or_default();
        of.insert(class.into(), choice);
        let entry = |choice: &Choice| json!({ "strategy": choice.strategy.to_string(), "seconds": choice.seconds });
        adapters.insert(self.adapter.clone(), of.iter().map(|(class, choice)| (class.clone(), entry(choice))).collect());
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{:#}", json!({ "format": FORMAT, "adapters": adapters }))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// The file's adapters; none where it is not ours.
fn read(path: &Path) -> Map<String, Value> {
    match checked(path) {
        Ok(adapters) => adapters,
        Err(reason) => {
            log::warn!("ignoring {}: {reason}", path.display());
            Map::new()
        }
    }
}

fn checked(path: &Path) -> Result<Map<String, Value>, String> {
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(error.to_string()),
    };
    if size > MOST_BYTES {
        return Err(format!("{size} bytes are too many"));
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if value["format"] != FORMAT {
        return Err(format!("its format is not {FORMAT}"));
    }
    match value["adapters"].take() {
        Value::Object(adapters) => Ok(adapters),
        _ => Err("it has no adapters".into()),
    }
}

fn parse(of: &Value) -> BTreeMap<String, Choice> {
    let entries = of.as_object().into_iter().flatten();
    let known = entries.filter_map(|(class, entry)| {
        let strategy = entry["strategy"].as_str().and_then(|name| name.parse().ok());
        let seconds = entry["seconds"].as_f64().filter(|seconds| *seconds > 0.0);
        if strategy.is_none() || seconds.is_none() {
            log::warn!("ignoring the tuning of {class}: {entry}");
        }
        Some((class.clone(), Choice { strategy: strategy?, seconds: seconds? }))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shader::matmul::Loop;

    fn choice(rows: u32) -> Choice {
        Choice { strategy: Strategy::of(Loop::Direct(rows)), seconds: 0.25 }
    }

    #[test]
    fn choices_outlive_the_process_and_stay_with_their_adapter() {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("deep/tuning.json"));
        let mut first = Cache::open(path.clone(), "one");
        let mut second = Cache::open(path.clone(), "one");
        first.remember("a", choice(4)).unwrap();
        second.remember("b", choice(8)).unwrap();
        Cache::open(path.clone(), "two").remember("a", choice(8)).unwrap();
        let read = Cache::open(path.clone(), "one");
        assert_eq!((read.get("a"), read.get("b"), read.get("c")), (Some(choice(4)), Some(choice(8)), None));
        assert_eq!(Cache::open(path, "two").choices().collect::<Vec<_>>(), [("a", choice(8))]);
    }

    #[test]
    fn without_a_path_nothing_is_written() {
        let mut cache = Cache::open(None, "one");
        cache.remember("a", choice(4)).unwrap();
        assert_eq!(cache.get("a"), Some(choice(4)));
    }

    #[test]
    fn what_is_not_ours_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuning.json");
        let ours = |entry: &str| format!(r#"{{"format": "{FORMAT}", "adapters": {{"one": {entry}}}}}"#);
        let spoilt = [
            String::new(),
            "{".into(),
            "[]".into(),
            "\u{0}\u{1}".into(),
            r#"{"format": "other", "adapters": {"one": {"a": {"strategy": "direct-8", "seconds": 1.0}}}}"#.into(),
            format!(r#"{{"format": "{FORMAT}"}}"#),
            ours("3"),
            ours(r#"{"a": {"strategy": "warp-9", "seconds": 1.0}}"#),
            ours(r#"{"a": {"strategy": "direct-8", "seconds": -1.0}}"#),
            ours(r#"{"a": {"strategy": 8}}"#),
        ];
        for text in spoilt {
            fs::write(&path, &text).unwrap();
            let mut cache = Cache::open(Some(path.clone()), "one");
            assert_eq!(cache.choices().count(), 0, "{text}");
            cache.remember("a", choice(4)).unwrap();
            assert_eq!(Cache::open(Some(path.clone()), "one").get("a"), Some(choice(4)), "{text}");
        }
    }
}
