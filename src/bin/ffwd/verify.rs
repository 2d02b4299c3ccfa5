//! `ffwd verify`: the accuracy contract, measured on this adapter.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use ffwd::Element;
use ffwd::shader::function::Function;
use ffwd::verify::{Case, Report, Row, cases};

use crate::adapter::AdapterArgs;
use crate::error::{CliError, message};
use crate::files::Output;
use crate::progress;
use crate::table::{self, Align, ulps};

/// Options of `ffwd verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also write every row to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only functions whose name holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

fn name(case: &Case) -> String {
    match &case.function {
        Function::Activation(activation) => activation.to_string(),
        Function::Gate(gate) => gate.to_string(),
    }
}

/// Measures, prints the table, and fails on any breach.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let output = args.json.as_deref().map(Output::check).transpose()?;
    let wanted = args.filter.as_deref().unwrap_or_default().to_lowercase();
    let cases: Vec<_> = cases().into_iter().filter(|case| name(case).contains(&wanted)).collect();
    if cases.is_empty() {
        return message(format!("no function's name holds `{wanted}`"));
    }
    let (gpu, described, reason) = adapter.open_described()?;
    writeln!(out, "{described}: {reason}\n")?;
    let mut rows = Vec::new();
    let bar = progress::bar(cases.len(), "measuring");
    for case in &cases {
        bar.set_message(name(case));
        rows.extend(pollster::block_on(case.measure(&gpu))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = Report::new(&gpu, rows);
    if let Some(output) = &output {
        output.write(format!("{:#}\n", report.to_json()).as_bytes())?;
    }
    let rows = &report.rows;
    print(out, rows)?;
    let (inputs, failed) = (rows.iter().map(|row| row.inputs).sum::<usize>(), rows.iter().filter(|row| !row.passed()).count());
    writeln!(out, "\n{} of {} rows hold, over {inputs} inputs", rows.len() - failed, rows.len())?;
    if failed > 0 { message(format!("{failed} rows breach the accuracy contract")) } else { Ok(()) }
}

/// One line for each output of a function, with the kinds side by side, and one for each breach.
fn print(out: &mut dyn Write, rows: &[Row]) -> Result<(), CliError> {
    let mut order = Vec::new();
    let mut kinds = BTreeMap::new();
    for row in rows {
        let key = (row.name.as_str(), row.output);
        if !order.contains(&key) {
            order.push(key);
        }
        kinds.insert((key, row.element), row);
    }
    let heading = ["function", "output", "f32 ULP", "allowed", "f16", "bf16", "allowed", ""];
    let mut lines = vec![heading.map(String::from).to_vec()];
    for key in order {
        let of = |element| kinds.get(&(key, element));
        let ulp = |element, digits| of(element).map_or(String::new(), |row| ulps(row.ulp, digits));
        let allowed = |element| of(element).map_or(String::new(), |row| row.allowed.to_string());
        let passed = Element::ALL.iter().filter_map(|element| of(*element)).all(|row| row.passed());
        lines.push(vec![
            key.0.to_owned(),
            key.1.to_owned(),
            ulp(Element::F32, 2),
            allowed(Element::F32),
            ulp(Element::F16, 3),
            ulp(Element::Bf16, 3),
            allowed(Element::F16),
            if passed { "ok" } else { "BREACH" }.to_owned(),
        ]);
    }
    let mut align = [Align::Right; 8];
    (align[0], align[1], align[7]) = (Align::Left, Align::Left, Align::Left);
    table::print(out, &align, &lines)?;
    for row in rows.iter().filter(|row| !row.passed()) {
        let Row { name, output, element, breaches, inputs, ulp, allowed, at: (first, second, actual, truth) } = row;
        writeln!(
            out,
            "\nBREACH {name} {output} {element}: {breaches} of {inputs} inputs, up to {} ULP where {allowed} are allowed",
            ulps(*ulp, 3)
        )?;
        writeln!(out, "  at ({first:e}, {second:e}): {actual:e}, and {truth:e} is right")?;
    }
    Ok(())
}
