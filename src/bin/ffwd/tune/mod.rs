//! `ffwd tune`: measures ahead of time which kernels compute products fastest on this adapter, and remembers it.

mod check;
mod output;
mod products;
mod warnings;

use std::io::Write;
use std::path::PathBuf;

use ffwd::ops::{self, Tuned};
use ffwd::quantised::WeightKind;
use ffwd::tuning::{Cache, Choice, Strategy, shipped};
use ffwd::{Element, Error, Gpu};

use crate::adapter::AdapterArgs;
use crate::choice::one_of;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::progress;

use check::Checked;
use products::{Product, Skipped};

/// Options of `ffwd tune`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tune only the products of `ffwd bench --quick`
    #[arg(long)]
    quick: bool,
    /// Tune only the products of workloads whose name holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Tune this product instead of those of the workloads; may be given more than once
    #[arg(long, value_name = "ROWSxCOLSxDEPTH", value_parser = products::shape, conflicts_with_all = ["quick", "filter"])]
    shape: Vec<[usize; 3]>,
    /// The shapes are gate and up, with an output of f32
    #[arg(long, requires = "shape")]
    gated: bool,
    /// Kind of every operand of the shapes
    #[arg(long, value_parser = one_of(Element::ALL, Element::name), default_value = "f32", requires = "shape")]
    element: Element,
    /// Kind of the weights of the shapes, where it is another
    #[arg(long, value_name = "KIND", value_parser = one_of(WeightKind::ALL, WeightKind::name), requires = "shape")]
    weights: Option<WeightKind>,
    /// Skip products whose tuning would take longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = 25.0)]
    max_seconds: f64,
    /// Only list what would be tuned: what is remembered, what is shipped, the candidates
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Measure everything again afterwards, and fail where a choice takes over 1.1 times as long as the best candidate
    #[arg(long)]
    check: bool,
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What there is to say about one class of products.
struct Row {
    product: Product,
    candidates: Vec<Strategy>,
    shipped: Strategy,
    /// Before it was measured.
    remembered: Option<Choice>,
    tuned: Option<Tuned>,
    checked: Vec<Checked>,
}

/// Everything that is written.
struct Report<'a> {
    gpu: &'a Gpu,
    file: PathBuf,
    rows: Vec<Row>,
    skipped: Vec<Skipped>,
}

/// Tunes, prints the tables, and fails where choices could not be kept or did not stand a check.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    warnings::collect();
    let result = tune(args, adapter, out);
    warnings::print();
    result
}

fn tune(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let output = args.json.as_deref().map(Output::check).transpose()?;
    let products = products::wanted(args)?;
    let Some(file) = Cache::default_path() else {
        return message("there is no folder for caches; name one in FFWD_CACHE_DIR");
    };
    let (gpu, described, reason) = adapter.open_described()?;
    writeln!(out, "{described}: {reason}\n")?;
    let (products, skipped) = products::sieve(&gpu, products, args.max_seconds)?;
    let cache = Cache::open(Some(file.clone()), &gpu.tuning_key());
    let capabilities = gpu.capabilities();
    let row = |product: Product| Row {
        candidates: product.problem.candidates(&capabilities),
        shipped: shipped(&capabilities, &product.problem),
        remembered: cache.get(&product.class),
        tuned: None,
        checked: Vec::new(),
        product,
    };
    let mut report = Report { gpu: &gpu, file, rows: products.into_iter().map(row).collect(), skipped };
    // What was measured until a failure is remembered, and is shown.
    let failure = if args.dry_run { None } else { report.measure(args.check).err() };
    if let Some(output) = &output {
        output.write(format!("{:#}\n", report.as_json()).as_bytes())?;
    }
    report.print(args.dry_run, out)?;
    match (failure, report.faults()) {
        (Some(failure), _) => Err(failure.into()),
        (None, faults) if faults.is_empty() => Ok(()),
        (None, faults) => message(faults.join("; ")),
    }
}

impl Report<'_> {
    fn measure(&mut self, check: bool) -> Result<(), Error> {
        let bar = progress::bar(self.rows.iter().map(|row| row.candidates.len()).sum(), "tuning");
        let (mut tuned, mut refused) = (Vec::new(), Vec::new());
        let mut failure = None;
        for mut row in std::mem::take(&mut self.rows) {
            let Product { class, .. } = &row.product;
            let mut progress = |strategy| {
                bar.set_message(format!("{class}: {strategy}"));
                bar.inc(1);
            };
            if failure.is_none() {
                match ops::tune(self.gpu, &row.product.problem, &mut progress) {
                    Ok(result) => row.tuned = Some(result),
                    Err(error @ (Error::Limit { .. } | Error::OutOfMemory { .. })) => {
                        refused.push(row.product.skipped(error.to_string()));
                        continue;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            tuned.push(row);
        }
        bar.finish_and_clear();
        self.rows = tuned;
        self.skipped.append(&mut refused);
        match failure {
            Some(error) => Err(error),
            None if check => check::rows(self.gpu, &mut self.rows),
            None => Ok(()),
        }
    }

    /// What the user must know, though everything was measured.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let tuned: Vec<_> = self.rows.iter().filter_map(|row| row.tuned.as_ref()).collect();
        if let Some(reason) = tuned.iter().find_map(|tuned| tuned.not_kept.as_ref()) {
            faults.push(format!("cannot write {}: {reason}", self.file.display()));
        }
        let failed = self.rows.iter().flat_map(|row| &row.checked).filter(|checked| !checked.passed()).count();
        if failed > 0 {
            faults.push(format!("{failed} choices take over {} times as long as the best candidate", check::MOST));
        }
        faults
    }
}
