//! Settings by key, from JSON or from GGUF's metadata, each with a type of its own.

use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::weights::error::{Result, WeightsError};
use crate::weights::gguf::{Gguf, Value};

/// What a setting says, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::weights) struct Said<T> {
    pub key: String,
    pub value: T,
}

/// A value of either format.
#[derive(Debug, Clone, PartialEq)]
enum Setting {
    Number(i64),
    Real(f64),
    Flag(bool),
    Text(String),
    /// Numbers, one for each layer.
    Numbers(Vec<u64>),
    Other,
}

/// Where settings come from.
#[derive(Debug)]
pub(super) enum Settings<'a> {
    /// Objects, the first that has a key counts.
    Json { file: &'a Path, what: &'static str, objects: Vec<&'a Map<String, Json>> },
    /// Metadata, whose keys start with the architecture's name.
    Gguf { file: &'a Gguf, architecture: &'a str },
}

impl Settings<'_> {
    pub fn file(&self) -> &Path {
        match self {
            Self::Json { file, .. } => file,
            Self::Gguf { file, .. } => file.tensors().file(),
        }
    }

    /// The first of `keys` that is there and not null.
    fn find(&self, keys: &[&str]) -> Option<Said<Setting>> {
        match self {
            Self::Json { objects, .. } => keys.iter().find_map(|key| {
                let value = objects.iter().find_map(|object| object.get(*key).filter(|value| !value.is_null()))?;
                Some(Said { key: (*key).to_owned(), value: from_json(value) })
            }),
            Self::Gguf { file, architecture } => keys.iter().find_map(|key| {
                let key = format!("{architecture}.{key}");
                let value = from_gguf(file.value(&key)?);
                // Arrays are passed over when a file is read: what they say layer by layer is not known.
                value.map(|value| Said { key, value })
            }),
        }
    }

    fn get<T>(&self, keys: &[&str], expected: &str, read: impl FnOnce(Setting) -> Option<T>) -> Result<Option<Said<T>>> {
        let Some(Said { key, value }) = self.find(keys) else { return Ok(None) };
        match read(value) {
            Some(value) => Ok(Some(Said { key, value })),
            None => Err(self.wrong(&key, expected)),
        }
    }

    /// A number that counts something.
    pub fn number(&self, keys: &[&str]) -> Result<Option<Said<u64>>> {
        self.get(keys, "a whole number from 0", |value| match value {
            Setting::Number(n) => u64::try_from(n).ok(),
            _ => None,
        })
    }

    /// A number that may be negative.
    pub fn signed(&self, keys: &[&str]) -> Result<Option<Said<i64>>> {
        self.get(keys, "a whole number", |value| match value {
            Setting::Number(n) => Some(n),
            _ => None,
        })
    }

    /// One number for all layers, or one for each.
    pub fn numbers(&self, keys: &[&str]) -> Result<Option<Said<Vec<u64>>>> {
        self.get(keys, "a whole number from 0, or a list of such", |value| match value {
            Setting::Number(n) => u64::try_from(n).ok().map(|n| vec![n]),
            Setting::Numbers(numbers) => Some(numbers),
            _ => None,
        })
    }

    /// Any number.
    pub fn real(&self, keys: &[&str]) -> Result<Option<Said<f64>>> {
        self.get(keys, "a number", |value| match value {
            Setting::Number(n) => Some(n as f64),
            Setting::Real(x) => Some(x),
            _ => None,
        })
    }

    /// True or false.
    pub fn flag(&self, keys: &[&str]) -> Result<Option<Said<bool>>> {
        self.get(keys, "true or false", |value| match value {
            Setting::Flag(flag) => Some(flag),
            _ => None,
        })
    }

    /// A text.
    pub fn text(&self, keys: &[&str]) -> Result<Option<Said<String>>> {
        self.get(keys, "a string", |value| match value {
            Setting::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The error for a value of another type.
    fn wrong(&self, key: &str, expected: &str) -> WeightsError {
        let file = self.file().to_owned();
        match self {
            Self::Json { what, .. } => WeightsError::Json { file, what, reason: format!("{key:?} is not {expected}") },
            Self::Gguf { .. } => WeightsError::Metadata { file, key: key.to_owned(), wrong: format!("is not {expected}") },
        }
    }
}

fn from_json(value: &Json) -> Setting {
    match value {
        Json::Bool(flag) => Setting::Flag(*flag),
        Json::String(text) => Setting::Text(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(n), _) => Setting::Number(n),
            (None, Some(x)) => Setting::Real(x),
            _ => Setting::Other,
        },
        Json::Array(values) => values.iter().map(Json::as_u64).collect::<Option<_>>().map_or(Setting::Other, Setting::Numbers),
        Json::Null | Json::Object(_) => Setting::Other,
    }
}

fn from_gguf(value: &Value) -> Option<Setting> {
    Some(match value {
        Value::U8(n) => Setting::Number((*n).into()),
        Value::I8(n) => Setting::Number((*n).into()),
        Value::U16(n) => Setting::Number((*n).into()),
        Value::I16(n) => Setting::Number((*n).into()),
        Value::U32(n) => Setting::Number((*n).into()),
        Value::I32(n) => Setting::Number((*n).into()),
        Value::U64(n) => i64::try_from(*n).map_or(Setting::Other, Setting::Number),
        Value::I64(n) => Setting::Number(*n),
        Value::F32(x) => Setting::Real((*x).into()),
        Value::F64(x) => Setting::Real(*x),
        Value::Bool(flag) => Setting::Flag(*flag),
        Value::String(text) => Setting::Text(text.clone()),
        Value::Array(_) => return None,
    })
}
