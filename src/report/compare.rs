//! Runs side by side: which rows there are, and what each adapter has in them.

use std::collections::{HashMap, HashSet};

use super::run::Run;
use super::workload::{Skipped, Workload};

/// A run beside others.
#[derive(Debug)]
pub struct Adapter<'a> {
    /// Its letter on the page, from A on.
    pub letter: String,
    /// Its adapter's name, with whatever tells it from the others.
    pub label: String,
    /// What was measured.
    pub run: &'a Run,
}

/// What an adapter has in a row.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// Measurements.
    Measured(&'a Workload),
    /// A reason for having none.
    Skipped(&'a str),
    /// Its file does not speak of this workload.
    Absent,
}

/// A workload, and a cell for each adapter.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its number on the page, from 1 on.
    pub number: usize,
    /// The workload as the first file has it that has it; name, shape and element are those of all.
    pub workload: &'a Workload,
    /// One for each adapter.
    pub cells: Vec<Cell<'a>>,
}

impl<'a> Row<'a> {
    /// The measurements, and whose they are.
    pub fn measured(&self) -> impl Iterator<Item = (usize, &'a Workload)> {
        self.cells.iter().enumerate().filter_map(|(adapter, cell)| match cell {
            Cell::Measured(workload) => Some((adapter, *workload)),
            _ => None,
        })
    }

    /// The adapter that is faster than all others by more than the spread; `None` where there is no other.
    pub fn fastest(&self) -> Option<usize> {
        let (best, workload) = self.measured().min_by(|(_, a), (_, b)| a.seconds.median.total_cmp(&b.seconds.median))?;
        let mut others = self.measured().filter(|(adapter, _)| *adapter != best).peekable();
        others.peek()?;
        others.all(|(_, other)| other.seconds.p10 > workload.seconds.p90).then_some(best)
    }
}

/// Rows of one family.
#[derive(Debug)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its workloads, in the files' order.
    pub rows: Vec<Row<'a>>,
}

/// Everything that a page shows.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The runs.
    pub adapters: Vec<Adapter<'a>>,
    /// What at least one of them measured.
    pub groups: Vec<Group<'a>>,
    /// What none of them measured, with a reason for each that gives one.
    pub never: Vec<(&'a str, Vec<Option<&'a str>>)>,
}

/// What makes two workloads the same: never are different things put side by side because they have one name.
type Key<'a> = (&'a str, &'a str, &'a str, &'a [(String, u64)]);

fn key(workload: &Workload) -> Key<'_> {
    (&workload.group, &workload.name, &workload.element, &workload.shape)
}

/// Puts runs side by side.
pub fn compare(runs: &[Run]) -> Comparison<'_> {
    let mut order: Vec<(&str, Vec<Key>)> = Vec::new();
    let mut groups = HashMap::new();
    let mut measured: HashMap<Key, Vec<Option<&Workload>>> = HashMap::new();
    for (adapter, run) in runs.iter().enumerate() {
        for workload in &run.workloads {
            let at = *groups.entry(&*workload.group).or_insert_with(|| {
                order.push((&workload.group, Vec::new()));
                order.len() - 1
            });
            let cells = measured.entry(key(workload)).or_insert_with(|| {
                order[at].1.push(key(workload));
                vec![None; runs.len()]
            });
            cells[adapter] = Some(workload);
        }
    }
    let reasons: Vec<HashMap<&str, &str>> = runs.iter().map(|run| run.skipped.iter().map(reason).collect()).collect();
    let mut number = 0;
    let mut row = |key: Key<'_>| {
        let workloads = measured.get(&key)?;
        let workload: &Workload = workloads.iter().flatten().next()?;
        number += 1;
        let cells = workloads.iter().zip(&reasons).map(|(found, reasons)| match found {
            Some(workload) => Cell::Measured(workload),
            None => reasons.get(key.1).map_or(Cell::Absent, |reason| Cell::Skipped(reason)),
        });
        let cells = cells.collect();
        Some(Row { number, workload, cells })
    };
    let groups = order.iter().map(|(name, keys)| Group { name, rows: keys.iter().filter_map(|key| row(*key)).collect() }).collect();
    Comparison { adapters: adapters(runs), groups, never: never(runs, &reasons) }
}

fn reason(skipped: &Skipped) -> (&str, &str) {
    (&skipped.name, &skipped.reason)
}

fn never<'a>(runs: &'a [Run], reasons: &[HashMap<&'a str, &'a str>]) -> Vec<(&'a str, Vec<Option<&'a str>>)> {
    let mut seen: HashSet<&str> = runs.iter().flat_map(|run| &run.workloads).map(|workload| &*workload.name).collect();
    let names = runs.iter().flat_map(|run| &run.skipped).map(|skipped| &*skipped.name).filter(|name| seen.insert(name));
    names.map(|name| (name, reasons.iter().map(|reasons| reasons.get(name).copied()).collect())).collect()
}

/// Labels: the adapter's name, and of the facts below the first that tell those of one name apart.
fn adapters(runs: &[Run]) -> Vec<Adapter<'_>> {
    let name = |text: &str| if text.trim().is_empty() { "unnamed adapter".to_owned() } else { text.trim().to_owned() };
    let mut labels: Vec<String> = runs.iter().map(|run| name(&run.adapter)).collect();
    let facts: [fn(&Run) -> String; 6] = [
        |run| run.backend.clone(),
        |run| format!("{} {}", run.driver, run.driver_info),
        |run| format!("ffwd {}", run.version),
        |run| if run.quick { "quick run".to_owned() } else { "full run".to_owned() },
        |run| run.date.clone(),
        |run| run.file.display().to_string(),
    ];
    for fact in facts {
        let before = labels.clone();
        for (i, label) in labels.iter_mut().enumerate() {
            let own = fact(&runs[i]);
            if before.iter().zip(runs).any(|(other, run)| *other == before[i] && fact(run) != own) {
                *label = format!("{label}, {}", own.trim());
            }
        }
    }
    labels.into_iter().zip(runs).enumerate().map(|(i, (label, run))| Adapter { letter: letter(i), label, run }).collect()
}

/// A to Z, then AA.
fn letter(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    if index < 26 { last.to_string() } else { format!("{}{last}", letter(index / 26 - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 51, 52, 702].map(letter), ["A", "Z", "AA", "AZ", "BA", "AAA"]);
    }
}
