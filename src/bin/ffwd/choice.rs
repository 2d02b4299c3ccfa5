//! Options that take one of a few names.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Parses one of `all` by its name.
pub fn one_of<T, const N: usize>(all: [T; N], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let find = move |given: String| all.into_iter().find(|one| name(*one) == given).ok_or(format!("no such name: {given}"));
    PossibleValuesParser::new(all.map(name)).try_map(find)
}
