//! Typed values out of a GGUF file's metadata.

use ffwd::weights::{Gguf, Value};

use super::{Result, fail};

/// A count or a number of a token.
pub fn count(file: &Gguf, key: &str) -> Result<usize> {
    match file.value(key) {
        Some(Value::U32(n)) => Ok(usize::try_from(*n)?),
        Some(Value::U64(n)) => Ok(usize::try_from(*n)?),
        other => wrong(file, key, "a count", other),
    }
}

/// A real number.
pub fn real(file: &Gguf, key: &str) -> Result<f32> {
    match file.value(key) {
        Some(Value::F32(x)) => Ok(*x),
        other => wrong(file, key, "an f32", other),
    }
}

/// A text.
pub fn text<'a>(file: &'a Gguf, key: &str) -> Result<&'a str> {
    match file.value(key) {
        Some(Value::String(text)) => Ok(text),
        other => wrong(file, key, "a text", other),
    }
}

fn wrong<T>(file: &Gguf, key: &str, needed: &str, found: Option<&Value>) -> Result<T> {
    let found = found.map_or("missing".to_owned(), |value| format!("{value:?}"));
    fail(format!("{}: `{key}` is {found}; {needed} is needed", file.tensors().file().display()))
}
