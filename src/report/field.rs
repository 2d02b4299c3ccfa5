//! Values of a JSON text that know their path, so that every complaint can name it.

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{ReportError, Result};

/// Longest text of a file that an error repeats.
const SHOWN: usize = 60;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    file: &'a Path,
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub fn root(file: &'a Path, value: &'a Value) -> Self {
        Self { file, path: String::new(), value }
    }

    /// The field of that name; unknown others are nobody's business.
    pub fn get(&self, name: &str) -> Result<Self> {
        let path = self.path_to(name);
        match self.object()?.get(name) {
            Some(value) => Ok(Self { file: self.file, path, value }),
            None => Err(ReportError::Missing { file: self.file.to_owned(), field: path }),
        }
    }

    /// The field of that name, which must be there; `None` where it is null.
    pub fn nullable(&self, name: &str) -> Result<Option<Self>> {
        Ok(Some(self.get(name)?).filter(|field| !field.value.is_null()))
    }

    /// A text.
    pub fn text(&self) -> Result<String> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.not("a text"))
    }

    /// One of a few texts, and what it stands for.
    pub fn one_of<T: Copy>(&self, known: &[(&str, T)], expected: &'static str) -> Result<T> {
        let found = self.value.as_str();
        known.iter().find(|(name, _)| Some(*name) == found).map(|(_, meaning)| *meaning).ok_or_else(|| self.not(expected))
    }

    /// True or false.
    pub fn flag(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.not("true or false"))
    }

    /// A whole number.
    pub fn count(&self) -> Result<u64> {
        self.value.as_u64().ok_or_else(|| self.not("a whole number from 0 on"))
    }

    /// A number within what is possible.
    pub fn number(&self, possible: RangeInclusive<f64>) -> Result<f64> {
        let found = self.value.as_f64().ok_or_else(|| self.not("a number"))?;
        if possible.contains(&found) {
            return Ok(found);
        }
        let (least, most) = possible.into_inner();
        Err(ReportError::Number { file: self.file.to_owned(), field: self.path.clone(), found, least, most })
    }

    /// The items of an array.
    pub fn items(&self) -> Result<impl Iterator<Item = Self>> {
        let items = self.value.as_array().ok_or_else(|| self.not("an array"))?;
        Ok(items.iter().enumerate().map(|(i, value)| Self { file: self.file, path: format!("{}[{i}]", self.path), value }))
    }

    /// The fields of an object, in the file's order.
    pub fn entries(&self) -> Result<impl Iterator<Item = (&'a str, Self)>> {
        let entry = |(name, value): (&'a String, _)| (name.as_str(), Self { file: self.file, path: self.path_to(name), value });
        Ok(self.object()?.iter().map(entry))
    }

    /// The error that `found`, this field's number, cannot be right beside another.
    pub fn contradiction(&self, found: f64, other: &'static str, reference: f64) -> ReportError {
        ReportError::Contradiction { file: self.file.to_owned(), field: self.path.clone(), found, other, reference }
    }

    fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.not("an object"))
    }

    fn path_to(&self, name: &str) -> String {
        let name = name.escape_debug();
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    fn not(&self, expected: &'static str) -> ReportError {
        let field = if self.path.is_empty() { "the whole file".to_owned() } else { self.path.clone() };
        let found = match self.value {
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::String(text) if text.chars().count() > SHOWN => format!("{:?}...", text.chars().take(SHOWN).collect::<String>()),
            Value::String(text) => format!("{text:?}"),
            other => other.to_string(),
        };
        ReportError::Type { file: self.file.to_owned(), field, expected, found }
    }
}
