//! Which products are tuned, and which are too large or would take too long.

use ffwd::bench::{Ceilings, Group, Task, Workload, workloads};
use ffwd::gpu::Timer;
use ffwd::tuning::Problem;
use ffwd::{Element, Gpu};

use super::Args;
use crate::error::{CliError, message};
use crate::progress;

/// A class of products.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// See [`Problem::class`].
    pub class: String,
    /// The one of the class that is tuned.
    pub problem: Problem,
    /// Those that share its choice.
    others: Vec<Problem>,
    /// Workloads that consist of them.
    pub names: Vec<String>,
}

/// A class that is not tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The class.
    pub class: String,
    /// Workloads that have such a product.
    pub names: Vec<String>,
    /// Why.
    pub reason: String,
}

/// The share of the roof that an average candidate is expected to reach.
const EXPECTED_SHARE: f64 = 0.25;
/// Runs of a candidate: one that is checked, one that warms up, one that is timed.
const RUNS: usize = 3;
/// Multiplications that take no time worth a look at the adapter's ceilings.
const FEW: u64 = 1 << 24;

impl Product {
    /// Every one of the class that is wanted.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.problem).chain(&self.others)
    }

    /// Why it is not tuned.
    pub fn skipped(self, reason: String) -> Skipped {
        Skipped { class: self.class, names: self.names, reason }
    }

    /// Bytes of its largest tensor.
    fn largest(&self) -> f64 {
        let Problem { rows, cols, depth, a, b, out, .. } = self.problem;
        let bytes = |rows: usize, cols: usize, element: Element| rows as f64 * cols as f64 * element.size() as f64;
        bytes(rows, depth, a).max(b.bytes(cols, depth) as f64).max(bytes(rows, cols, out))
    }

    /// Gate and up are as much work as one product of twice the columns.
    fn workload(&self) -> Workload {
        let Problem { rows, cols, depth, gated, a, .. } = self.problem;
        let cols = if gated { cols.saturating_mul(2) } else { cols };
        Workload { group: Group::Product, name: self.class.clone(), element: a, task: Task::Product { rows, cols, depth } }
    }
}

/// ROWSxCOLSxDEPTH.
pub fn shape(text: &str) -> Result<[usize; 3], String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok().filter(|size| *size > 0)).collect();
    let sizes = sizes.and_then(|sizes| <[usize; 3]>::try_from(sizes).ok());
    sizes.ok_or_else(|| "three sizes above 0 are needed, as in 16x1536x576".into())
}

/// The classes that the options name, in the order of the workloads.
pub fn wanted(args: &Args) -> Result<Vec<Product>, CliError> {
    let mut products = Vec::new();
    for &[rows, cols, depth] in &args.shape {
        let element = args.element;
        let out = if args.gated { Element::F32 } else { element };
        let problem =
            Problem { gated: args.gated, a: element, b: args.weights.unwrap_or(element.into()), out, ..Problem::new(rows, cols, depth) };
        add(&mut products, &format!("{rows}x{cols}x{depth}"), problem);
    }
    if !products.is_empty() {
        return Ok(products);
    }
    let wanted = args.filter.as_deref().unwrap_or_default().to_lowercase();
    for workload in workloads(args.quick)?.iter().filter(|workload| workload.name.to_lowercase().contains(&wanted)) {
        for problem in workload.task.problems(workload.element) {
            add(&mut products, &workload.name, problem);
        }
    }
    if products.is_empty() {
        let hint = if args.quick { "; without --quick there are more" } else { "" };
        return message(format!("no workload with products has `{wanted}` in its name{hint}"));
    }
    Ok(products)
}

fn add(products: &mut Vec<Product>, name: &str, problem: Problem) {
    let class = problem.class();
    match products.iter_mut().find(|product| product.class == class) {
        None => products.push(Product { class, problem, others: Vec::new(), names: vec![name.into()] }),
        Some(product) => {
            if !product.problems().any(|known| *known == problem) {
                product.others.push(problem);
            }
            if !product.names.iter().any(|known| known == name) {
                product.names.push(name.into());
            }
        }
    }
}

/// Parts those that are tuned from those that are too large for the adapter, or would take too long by what it can do.
pub fn sieve(gpu: &Gpu, products: Vec<Product>, max_seconds: f64) -> Result<(Vec<Product>, Vec<Skipped>), CliError> {
    let (capabilities, allowed) = (gpu.capabilities(), gpu.limits().max_buffer_size as f64);
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    let mut ceilings = None;
    for product in products {
        let bytes = product.largest();
        if bytes > allowed {
            let reason = format!("needs a buffer of {:.0} MB, the adapter allows {:.0} MB", bytes / 1e6, allowed / 1e6);
            skipped.push(product.skipped(reason));
            continue;
        }
        if product.problem.macs() > FEW {
            let ceilings = match &mut ceilings {
                Some(measured) => measured,
                none => none.insert(measure(gpu)?),
            };
            let runs = RUNS * product.problem.candidates(&capabilities).len();
            let seconds = runs as f64 * ceilings.roof(&product.workload()).seconds / EXPECTED_SHARE;
            if seconds > max_seconds {
                skipped.push(product.skipped(format!("{runs} runs would take about {seconds:.1} s, {max_seconds} s are allowed")));
                continue;
            }
        }
        kept.push(product);
    }
    Ok((kept, skipped))
}

fn measure(gpu: &Gpu) -> Result<Ceilings, CliError> {
    let bar = progress::bar(1, "measuring");
    bar.set_message("ceilings");
    let ceilings = pollster::block_on(Ceilings::measure(&mut Timer::new(gpu)?))?;
    bar.finish_and_clear();
    Ok(ceilings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(shape("1x20x300"), Ok([1, 20, 300]));
        for wrong in ["", "1x2", "1x2x3x4", "0x2x3", "ax2x3", "1 x2x3", "-1x2x3", "1x2x99999999999999999999"] {
            assert!(shape(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_class_once() {
        let mut products = Vec::new();
        for (name, cols) in [("a", 1500), ("a", 1536), ("b", 1536), ("b", 3072)] {
            add(&mut products, name, Problem::new(64, cols, 512));
        }
        let counts: Vec<_> = products.iter().map(|product| (product.problems().count(), product.names.len())).collect();
        assert_eq!(counts, [(2, 2), (1, 1)]);
        assert_eq!(products[0].problem.cols, 1500);
    }
}
