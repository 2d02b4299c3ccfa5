//! Every activation: its formula, its error, and its speed beside a plain copy.

use std::io::Write;

use ffwd::accuracy::Random;
use ffwd::bench::copy_bandwidth;
use ffwd::gpu::time;
use ffwd::ops::{Activate, Forward};
use ffwd::shader::function::Function;
use ffwd::verify::Case;
use ffwd::{Activation, Element, Gpu};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::progress;
use crate::table::{self, Align, ulps};

const ELEMENTS: usize = 1 << 22;
const REPETITIONS: usize = 5;

/// The table.
#[derive(Debug)]
pub struct Table {
    copy: f64,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    formula: &'static str,
    ulp: f64,
    allowed: f64,
    passed: bool,
    speed: f64,
}

/// Measures every activation forward in f32.
pub fn run(gpu: &Gpu) -> Result<Table, CliError> {
    let bar = progress::bar(Activation::all().count() + 1, "activations");
    bar.set_message("copy");
    let copy = pollster::block_on(copy_bandwidth(gpu, ELEMENTS))?.bytes_per_second;
    bar.inc(1);
    let mut random = Random::new(1);
    let x: Vec<f32> = (0..ELEMENTS).map(|_| random.uniform(-8.0, 8.0)).collect();
    let (x, y) = (gpu.tensor(&x, &[ELEMENTS], Element::F32)?, gpu.zeros(&[ELEMENTS], Element::F32)?);
    let mut rows = Vec::new();
    for activation in Activation::all() {
        bar.set_message(activation.to_string());
        let plan = Activate::new(gpu, activation.clone()).forward(Forward { x: &x, y: &y, bias: None, parameters: None })?;
        let (seconds, _) = time(gpu, &plan, REPETITIONS)?;
        let speed = (2 * ELEMENTS) as f64 * Element::F32.size() as f64 / seconds[seconds.len() / 2];
        let (name, formula) = (activation.to_string(), activation.spec().map_or("", |spec| spec.formula));
        let case = Case { function: Function::Activation(activation), backward: false, element: Element::F32 };
        for measured in pollster::block_on(case.measure(gpu))? {
            let (ulp, allowed, passed) = (measured.ulp, measured.allowed, measured.passed());
            rows.push(Row { name: name.clone(), formula, ulp, allowed, passed, speed });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Table { copy, rows })
}

impl Table {
    /// Whether every error is within the contract.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed)
    }

    /// For people.
    pub fn print(&self, out: &mut dyn Write) -> Result<(), CliError> {
        writeln!(out, "activations, f32, {ELEMENTS} elements; this adapter copies {:.1} GB/s\n", self.copy / 1e9)?;
        let mut lines = vec![["", "max ULP", "allowed", "", "GB/s", "of copy", "formula"].map(String::from).to_vec()];
        for row in &self.rows {
            lines.push(vec![
                row.name.clone(),
                ulps(row.ulp, 2),
                row.allowed.to_string(),
                if row.passed { "ok" } else { "FAIL" }.to_owned(),
                format!("{:.1}", row.speed / 1e9),
                format!("{:.2}", row.speed / self.copy),
                row.formula.to_owned(),
            ]);
        }
        let (l, r) = (Align::Left, Align::Right);
        table::print(out, &[l, r, r, l, r, r, l], &lines)
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.name,
                "formula": row.formula,
                "max_ulp": row.ulp,
                "allowed_ulp": row.allowed,
                "bytes_per_second": row.speed,
                "share_of_copy": row.speed / self.copy,
                "passed": row.passed,
            })
        };
        json!({
            "elements": ELEMENTS,
            "copy_bytes_per_second": self.copy,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
