//! `ffwd verify`: the accuracy contract, measured on this adapter.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use ffwd::shader::function::Function;
use ffwd::verify::{Case, Row, cases};
use ffwd::{Element, Gpu};
use serde_json::{Value, json};

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
    if let Some(output) = &output {
        output.write(format!("{:#}\n", as_json(&gpu, &rows)).as_bytes())?;
    }
    print(out, &rows)?;
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

/// JSON has no NaN and no infinities: those are strings.
fn number(value: f64) -> Value {
    if value.is_finite() { Value::from(value) } else { Value::from(value.to_string()) }
}

fn as_json(gpu: &Gpu, rows: &[Row]) -> Value {
    let info = gpu.info();
    let row = |row: &Row| {
        let (first, second, actual, truth) = row.at;
        json!({
            "function": row.name,
            "output": row.output,
            "element": row.element.name(),
            "inputs": row.inputs,
            "max_ulp": number(row.ulp),
            "allowed_ulp": number(row.allowed),
            "breaches": row.breaches,
            "worst": {
                "inputs": [number(first.into()), number(second.into())],
                "actual": number(actual.into()),
                "truth": number(truth),
            },
        })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": info.name,
        "backend": format!("{:?}", info.backend).to_lowercase(),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "passed": rows.iter().all(Row::passed),
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
