//! `--param NAME=VALUE`, with the spellings of the reference files.

use ffwd::Activation;
use serde_json::Value;

use super::op::Op;
use crate::error::{CliError, message};

/// A parameter as it was given.
#[derive(Debug, Clone)]
pub struct Param {
    name: String,
    value: Value,
    text: String,
}

/// Splits NAME=VALUE.
pub fn parse(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    let name = name.trim();
    if name.is_empty() {
        return Err("NAME=VALUE is needed".into());
    }
    let parsed = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.trim()));
    Ok(Param { name: name.to_owned(), value: parsed, text: value.trim().to_owned() })
}

/// Sets the parameters of `op`; returns how many channels were said to be learned.
pub fn apply(op: &mut Op, params: &[Param]) -> Result<Option<usize>, CliError> {
    let learnable = op.activation().is_some_and(|activation| activation.learnable_len() > 0);
    let rational = matches!(op.activation(), Some(Activation::Rational { .. }));
    let mut channels = None;
    for param in params {
        match param.name.as_str() {
            "channels" if learnable => channels = Some(param.count()?),
            "order" if rational => param.must_be(&[Value::from(vec![5, 4])], "[5,4]")?,
            "version" if rational && param.text.trim_matches('"').starts_with('B') => {}
            "version" if rational => return param.wrong("B, the safe denominator"),
            "init" if rational => param.must_be(&[Value::from("leaky_relu")], "leaky_relu")?,
            "numerator" if rational => param.list(op, "a", 0, 6)?,
            "denominator" if rational => param.list(op, "b", 1, 4)?,
            name => op.set(name, param.number()?)?,
        }
    }
    Ok(channels)
}

impl Param {
    fn wrong<T>(&self, wanted: &str) -> Result<T, CliError> {
        message(format!("parameter `{}` is `{}`; {wanted} is needed", self.name, self.text))
    }

    fn must_be(&self, allowed: &[Value], wanted: &str) -> Result<(), CliError> {
        if allowed.contains(&self.value) { Ok(()) } else { self.wrong(wanted) }
    }

    fn number(&self) -> Result<f64, CliError> {
        // JSON knows no infinities.
        self.value.as_f64().or_else(|| self.text.parse().ok()).map_or_else(|| self.wrong("a number"), Ok)
    }

    fn count(&self) -> Result<usize, CliError> {
        let count = self.value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.filter(|count| *count > 0).map_or_else(|| self.wrong("a number of channels"), Ok)
    }

    /// A list of `count` numbers, into parameters `prefix` + `first` and on.
    fn list(&self, op: &mut Op, prefix: &str, first: usize, count: usize) -> Result<(), CliError> {
        let numbers = self.value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
        let Some(numbers) = numbers.filter(|numbers| numbers.len() == count) else {
            return self.wrong(&format!("a list of {count} numbers"));
        };
        numbers.into_iter().enumerate().try_for_each(|(i, number)| op.set(&format!("{prefix}{}", first + i), number))
    }
}
