//! The compilers' verdicts: complete, as expected, printed in short and kept in full.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use ffwd::shader::Kernel;
use serde_json::{Map, Value, json};

use crate::exceptions::{self, EXCEPTIONS, Exception};
use crate::targets::TARGETS;

/// A kernel, as the manifest has it.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub kernel: String,
    uses: Vec<String>,
    /// By target: why naga has no such text.
    pub refusals: Map<String, Value>,
}

impl Entry {
    pub fn new(kernel: &Kernel) -> Self {
        let used = [
            ("subgroups", kernel.subgroups),
            ("int64", kernel.int64),
            ("cooperative", kernel.cooperative),
            ("workgroup", kernel.wgsl.contains("var<workgroup>")),
            ("atomics", kernel.wgsl.contains("atomic<")),
        ];
        let uses = used.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.into()).collect();
        Self { kernel: kernel.name.clone(), uses, refusals: Map::new() }
    }

    pub fn uses(&self, what: &str) -> bool {
        self.uses.iter().any(|used| used == what)
    }

    pub fn to_line(&self) -> String {
        format!("{}\n", json!({ "kernel": self.kernel, "uses": self.uses, "refusals": self.refusals }))
    }

    fn from_line(line: &str) -> Result<Self> {
        let mut line: Value = serde_json::from_str(line)?;
        let uses = line["uses"].as_array().into_iter().flatten().filter_map(|used| used.as_str().map(Into::into)).collect();
        let kernel = line["kernel"].as_str().context("no kernel")?.into();
        let refusals = line["refusals"].as_object_mut().map(std::mem::take).unwrap_or_default();
        Ok(Self { kernel, uses, refusals })
    }

    /// What it is counted with: its first word, of elementwise kernels the pass too, of products the sort of loop.
    fn family(&self) -> String {
        let words: Vec<_> = self.kernel.split('/').collect();
        match words[0] {
            "elementwise" => words[..2].join("/"),
            "matmul" => format!("matmul/{}", words[1].split('-').next().unwrap_or_default()),
            first => first.into(),
        }
    }
}

/// What the compiler of one target said: by number, the first error or nothing; and what it is.
struct Check {
    target: &'static str,
    version: String,
    verdicts: HashMap<String, String>,
}

impl Check {
    /// From the files that the drivers wrote; `None` where the compiler was not there.
    fn read(folder: &Path, target: &'static str) -> Result<Option<Self>> {
        let folder = folder.join("verdicts").join(target);
        let Ok(version) = fs::read_to_string(folder.join("version")) else { return Ok(None) };
        let mut verdicts = HashMap::new();
        for file in fs::read_dir(&folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "tsv") {
                for line in fs::read_to_string(&path)?.lines() {
                    let (file, error) = line.split_once('\t').with_context(|| format!("{}: {line}", path.display()))?;
                    verdicts.insert(file.into(), error.into());
                }
            }
        }
        Ok(Some(Self { target, version: version.trim().into(), verdicts }))
    }

    /// What is said of a kernel: `None` where nobody was asked.
    fn verdict(&self, number: usize, entry: &Entry) -> Option<String> {
        let refusal = entry.refusals.get(self.target).and_then(Value::as_str);
        refusal.map(|refusal| format!("naga: {refusal}")).or_else(|| self.verdicts.get(&format!("{number:05}")).cloned())
    }
}

/// The letter of the exception that a verdict is, or a dot where it compiles, or what is wrong.
fn judge(expected: Option<&Exception>, verdict: Option<&str>) -> Result<char, String> {
    match (expected, verdict) {
        (_, None) => Err("was not compiled".into()),
        (None, Some("")) => Ok('.'),
        (None, Some(error)) => Err(error.into()),
        (Some(exception), Some("")) => Err(format!("compiles in spite of exception {}", exception.letter)),
        (Some(exception), Some(error)) if error.contains(exception.error) => Ok(exception.letter),
        (Some(exception), Some(error)) => Err(format!("not exception {}, but: {error}", exception.letter)),
    }
}

/// Prints the summary and writes the table. 0 where all is as expected, 1 where not, 3 where a compiler was not there.
pub fn run(folder: &Path, table: &Path) -> Result<ExitCode> {
    let entries = fs::read_to_string(folder.join("manifest.jsonl"))?.lines().map(Entry::from_line).collect::<Result<Vec<_>>>()?;
    let mut wrong = Vec::new();
    let (mut checks, mut absent) = (Vec::new(), Vec::new());
    for target in TARGETS {
        match Check::read(folder, target.name)? {
            Some(check) => checks.push(check),
            None => absent.push(target.name),
        }
    }
    // One column of letters for each check.
    let mut letters = vec![String::new(); entries.len()];
    for check in &checks {
        for (number, (entry, letters)) in entries.iter().zip(&mut letters).enumerate() {
            let letter = judge(exceptions::of(check.target, entry), check.verdict(number, entry).as_deref());
            letters.push(letter.unwrap_or_else(|error| {
                wrong.push(format!("{}, {}: {error}", check.target, entry.kernel));
                '!'
            }));
        }
        wrong.extend(controls(folder, check)?);
    }
    for exception in EXCEPTIONS.iter().filter(|e| !entries.iter().any(|entry| (e.covers)(entry))) {
        wrong.push(format!("exception {} is about no kernel", exception.letter));
    }
    let head = head(&checks, &absent);
    print!("{head}\n{}", summary(&checks, &entries, &letters));
    fs::write(table, head + &full(&entries, &letters)).with_context(|| table.display().to_string())?;
    for line in wrong.iter().take(40) {
        println!("WRONG  {line}");
    }
    println!("{} kernels, {} checks: {} wrong{}", entries.len(), checks.len(), wrong.len(), not_run(&absent));
    Ok(ExitCode::from(if !wrong.is_empty() {
        1
    } else if !absent.is_empty() {
        3
    } else {
        0
    }))
}

fn not_run(absent: &[&str]) -> String {
    absent.iter().map(|target| format!("; NOT RUN: {target}")).collect()
}

/// What is wrong with the spoilt texts: that there is none, or that one compiles, or was not tried.
fn controls(folder: &Path, check: &Check) -> Result<Vec<String>> {
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for part in fs::read_dir(folder.join(check.target))? {
        let part = part?;
        if !fs::read_dir(part.path())?.flatten().any(|file| file.path().file_stem().is_some_and(|stem| stem == "spoilt")) {
            continue;
        }
        let name = format!("spoilt-{}", part.file_name().display());
        match check.verdicts.get(&name).map(String::as_str) {
            None => wrong.push(format!("{}: {name} was not compiled", check.target)),
            Some("") => wrong.push(format!("{}: {name} compiles", check.target)),
            Some(_) => refused += 1,
        }
    }
    if refused == 0 {
        wrong.push(format!("{}: nothing spoilt was refused", check.target));
    }
    Ok(wrong)
}

/// Who judged, and what the letters mean.
fn head(checks: &[Check], absent: &[&str]) -> String {
    let mut head = String::from("# One letter for each target, in this order:\n");
    for check in checks {
        let _ = writeln!(head, "#   {:<13} {}", check.target, check.version);
    }
    for target in absent {
        let _ = writeln!(head, "#   {target:<13} NOT RUN (no letter)");
    }
    head += "# A dot: it compiles. Else there is a reason why it does not:\n";
    for exception in EXCEPTIONS {
        let _ = writeln!(head, "#   {} {}: {}", exception.letter, exception.targets.join(", "), exception.reason);
    }
    head
}

/// Families by targets: how many compile, and how many are which exception.
fn summary(checks: &[Check], entries: &[Entry], letters: &[String]) -> String {
    let mut families: BTreeMap<String, Vec<BTreeMap<char, usize>>> = BTreeMap::new();
    for (entry, letters) in entries.iter().zip(letters) {
        let counts = families.entry(entry.family()).or_insert_with(|| vec![BTreeMap::new(); checks.len()]);
        letters.chars().zip(counts).for_each(|(letter, counts)| *counts.entry(letter).or_default() += 1);
    }
    let mut text = format!("{:<22}", "compiled");
    checks.iter().for_each(|check| text += &format!(" {:>14}", check.target));
    for (family, counts) in families {
        let _ = write!(text, "\n{family:<22}");
        for counts in counts {
            let cell = |(letter, count): (&char, &usize)| if *letter == '.' { count.to_string() } else { format!("{count}{letter}") };
            let _ = write!(text, " {:>14}", counts.iter().map(cell).collect::<Vec<_>>().join("+"));
        }
    }
    text + "\n"
}

/// Every kernel: letters, what its name starts with, and how the names go on.
fn full(entries: &[Entry], letters: &[String]) -> String {
    let mut lines: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (entry, letters) in entries.iter().zip(letters) {
        let words = if entry.kernel.starts_with("matmul/") { 4 } else { 3 };
        let end = entry.kernel.match_indices('/').nth(words - 1).map_or(entry.kernel.len(), |(at, _)| at);
        let (start, rest) = entry.kernel.split_at(end);
        lines.entry((start, letters)).or_default().push(if rest.is_empty() { "." } else { &rest[1..] });
    }
    let line = |((start, letters), rests): (&(&str, &str), &Vec<&str>)| format!("{letters}\t{start}\t{}\n", rests.join(" "));
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_passes() {
        let exception =
            Exception { letter: 'a', targets: &["hlsl"], covers: |entry| entry.uses("int64"), error: "no such type", reason: "" };
        assert_eq!(judge(None, Some("")), Ok('.'));
        assert_eq!(judge(Some(&exception), Some("line 3: no such type")), Ok('a'));
        for (expected, verdict) in [
            (None, None),
            (Some(&exception), None),
            (None, Some("line 3: no such type")),
            (Some(&exception), Some("")),
            (Some(&exception), Some("line 3: no such function")),
        ] {
            assert!(judge(expected, verdict).is_err(), "{verdict:?}");
        }
    }

    #[test]
    fn a_refusal_of_naga_is_a_verdict() {
        let mut entry = Entry::default();
        entry.refusals.insert("hlsl".into(), "no such thing".into());
        let check = |verdicts: &[(&str, &str)]| Check {
            target: "hlsl",
            version: String::new(),
            verdicts: verdicts.iter().map(|(file, error)| ((*file).into(), (*error).into())).collect(),
        };
        assert_eq!(check(&[]).verdict(7, &entry).as_deref(), Some("naga: no such thing"));
        assert_eq!(check(&[("00007", "bad")]).verdict(7, &Entry::default()).as_deref(), Some("bad"));
        assert_eq!(check(&[("00008", "")]).verdict(7, &Entry::default()), None);
    }

    #[test]
    fn lines_of_the_manifest_return() {
        let entry = Entry { kernel: "a/b".into(), uses: vec!["int64".into()], refusals: Map::from_iter([("hlsl".into(), "no".into())]) };
        let back = Entry::from_line(&entry.to_line()).unwrap();
        assert_eq!((back.kernel, back.uses, back.refusals), (entry.kernel, entry.uses, entry.refusals));
    }
}
