//! Names that people type: normalising them, and suggesting the nearest known one.

use thiserror::Error;

/// A name that is not known, with the nearest ones that are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {what} `{name}`; {}", suggestion(.nearest))]
pub struct UnknownName {
    /// What kind of thing was named.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
    /// Known names, the nearest first; empty where nothing of the kind has a name.
    pub nearest: Vec<String>,
}

impl UnknownName {
    /// Finds the nearest of `known` to `name`.
    pub fn new<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let wanted = normalise(name);
        let mut ranked: Vec<_> = known.map(|k| (distance(&wanted, k), k.to_owned())).collect();
        ranked.sort();
        ranked.dedup();
        ranked.truncate(4);
        Self { what, name: name.to_owned(), nearest: ranked.into_iter().map(|(_, k)| k).collect() }
    }
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() { "it has none".into() } else { format!("nearest: {}", nearest.join(", ")) }
}

/// Lower case, with `-` and blanks as `_`.
pub fn normalise(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' '], "_")
}

/// Whether two names differ in nothing but case and separators.
pub fn same(a: &str, b: &str) -> bool {
    let letters = |name: &str| normalise(name).replace('_', "");
    letters(a) == letters(b)
}

/// Levenshtein's edit distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance() {
        for (a, b, want) in [("", "", 0), ("relu", "relu", 0), ("gelu", "relu", 1), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
