//! Every kernel in every target's language, and what the compilers of those languages say of it; for scripts/compile-offline.
//!
//!     ffwd-offline write FOLDER          writes the texts
//!     ffwd-offline judge FOLDER TABLE    holds the compilers' verdicts against the exceptions, and writes them all to TABLE
//!
//! A text is FOLDER/TARGET/PART/NUMBER.EXTENSION: the kernel on line NUMBER (from 0) of FOLDER/manifest.jsonl. In each PART there is a
//! spoilt one besides, which the compiler has to refuse, unless all of a part are exceptions.

mod exceptions;
mod judge;
mod targets;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use ffwd::shader::{Kernel, catalogue};
use judge::Entry;
use targets::{Parsed, TARGETS};

/// Texts in a part: what one run of a compiler is given.
const PART: usize = 200;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", folder] => write(Path::new(folder)),
        ["judge", folder, table] => judge::run(Path::new(folder), Path::new(table)),
        _ => bail!("usage: ffwd-offline write FOLDER | judge FOLDER TABLE"),
    }
}

fn write(folder: &Path) -> Result<ExitCode> {
    let kernels = catalogue::all();
    for (target, part) in TARGETS.iter().flat_map(|target| (0..kernels.len().div_ceil(PART)).map(move |part| (target, part))) {
        fs::create_dir_all(folder.join(target.name).join(format!("{part:02}")))?;
    }
    let (next, mut entries) = (AtomicUsize::new(0), Vec::new());
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let work = || {
            let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < kernels.len()));
            numbers.map(|number| Ok((number, write_kernel(folder, number, &kernels[number])?))).collect::<Result<Vec<_>>>()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            entries.extend(worker.join().expect("a writer panicked")?);
            anyhow::Ok(())
        })
    })?;
    entries.sort_by_key(|(number, _)| *number);
    let manifest: String = entries.iter().map(|(_, entry)| entry.to_line()).collect();
    fs::write(folder.join("manifest.jsonl"), manifest)?;
    println!("{} kernels for {} targets", entries.len(), TARGETS.len());
    Ok(ExitCode::SUCCESS)
}

/// One kernel in every language.
fn write_kernel(folder: &Path, number: usize, kernel: &Kernel) -> Result<Entry> {
    let parsed = Parsed::new(kernel).map_err(anyhow::Error::msg).with_context(|| kernel.name.clone())?;
    let mut entry = Entry::new(kernel);
    for target in TARGETS {
        let part = folder.join(target.name).join(format!("{:02}", number / PART));
        match (target.write)(&parsed) {
            Ok(text) => {
                fs::write(part.join(format!("{number:05}.{}", target.extension)), &text)?;
                // The first of a part that has what is to be misspelt, and would be refused for nothing else.
                let spoilt = part.join(format!("spoilt.{}", target.extension));
                if !spoilt.exists() && exceptions::of(target.name, &entry).is_none() {
                    let spoil = (target.spoil)(text.clone());
                    if spoil != text {
                        fs::write(spoilt, spoil)?;
                    }
                }
            }
            Err(refusal) => {
                entry.refusals.insert(target.name.into(), refusal.into());
            }
        }
    }
    Ok(entry)
}
