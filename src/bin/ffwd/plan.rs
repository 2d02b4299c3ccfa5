//! `ffwd plan`: what a model's feed-forward layer becomes when it is gated.

use std::io::Write;
use std::path::PathBuf;

use ffwd::shader::function::Function;
use ffwd::sizing::{Equal, LayerSize, Policy, Storage};
use ffwd::{Element, Gate};
use serde_json::{Value, json};

use crate::choice::one_of;
use crate::error::CliError;
use crate::files::Output;
use crate::table::{self, Align, grouped};

/// Options of `ffwd plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Features of the model
    #[arg(long, value_name = "N")]
    d_model: u64,
    /// Hidden features of the present layer; 4 times d_model by default
    #[arg(long, value_name = "N")]
    d_ff: Option<u64>,
    /// Activation of the present layer; a gate's name where it is gated already
    #[arg(long, value_name = "NAME", default_value = "gelu")]
    activation: String,
    /// Gate of the new layer
    #[arg(long, value_name = "NAME", default_value = "swiglu")]
    gate: String,
    /// Only the layer that is equal in this; by default all three
    #[arg(long, value_parser = one_of(Equal::ALL, Equal::name))]
    by: Option<Equal>,
    /// Round the new d_ff up to a multiple of this
    #[arg(long, value_name = "N", default_value_t = 256)]
    multiple_of: u64,
    /// Multiply the new d_ff by this first (Llama's ffn_dim_multiplier)
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    multiplier: f64,
    /// The present layer has biases
    #[arg(long)]
    biases: bool,
    /// The new layer has biases
    #[arg(long)]
    gate_biases: bool,
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A layer and what it is called.
struct Column {
    heading: String,
    function: String,
    size: LayerSize,
}

/// Prints the layers side by side.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), CliError> {
    let output = args.json.as_deref().map(Output::check).transpose()?;
    let columns = columns(args)?;
    let align: Vec<_> = std::iter::once(Align::Left).chain(columns.iter().map(|_| Align::Right)).collect();
    table::print(out, &align, &rows(&columns))?;
    writeln!(out, "\nFLOPs: a multiplication and an addition for each weight; activations are not counted.")?;
    writeln!(out, "Kept: x and what the gate (or activation) is applied to; recompute keeps x alone and pays with FLOPs.")?;
    if let Some(output) = output {
        let text = format!("{:#}\n", Value::from(columns.iter().map(json).collect::<Vec<_>>()));
        output.write(text.as_bytes())?;
        writeln!(out, "written to {}", output.path().display())?;
    }
    Ok(())
}

fn columns(args: &Args) -> Result<Vec<Column>, CliError> {
    let d_ff = args.d_ff.unwrap_or(args.d_model.saturating_mul(4));
    let size = |gated| if gated { LayerSize::gated(args.d_model, d_ff) } else { LayerSize::dense(args.d_model, d_ff) };
    let (function, gated) = match Function::parse(&args.activation)? {
        Function::Activation(activation) => (activation.to_string(), false),
        Function::Gate(gate) => (gate.to_string(), true),
    };
    let present = size(gated)?.with_biases(args.biases);
    let gate = Gate::parse(&args.gate)?;
    let mut columns = vec![Column { heading: "present".into(), function, size: present }];
    for rule in Equal::ALL.into_iter().filter(|rule| args.by.is_none_or(|by| by == *rule)) {
        let size = present.gated_equivalent(rule, args.gate_biases, args.multiplier, args.multiple_of)?;
        columns.push(Column { heading: format!("equal {}", rule.name()), function: gate.to_string(), size });
    }
    Ok(columns)
}

/// Text of one number of a layer.
type Cell<'a> = Box<dyn Fn(&Column) -> String + 'a>;

fn rows(columns: &[Column]) -> Vec<Vec<String>> {
    let before = columns.first().map_or(0, |column| column.size.parameters());
    let bytes = |bytes: Option<u64>| bytes.map_or("-".into(), |bytes| format!("{} B", grouped(bytes)));
    let share = move |column: &Column| format!("{:+.2}%", 100.0 * (column.size.parameters() as f64 / before as f64 - 1.0));
    let mut lines: Vec<(String, Cell<'_>)> = vec![
        (String::new(), Box::new(|column| column.heading.clone())),
        ("function".into(), Box::new(|column| column.function.clone())),
        ("d_model".into(), Box::new(|column| grouped(column.size.d_model()))),
        ("d_ff".into(), Box::new(|column| grouped(column.size.d_ff()))),
        ("parameters".into(), Box::new(|column| grouped(column.size.parameters()))),
        ("more than present".into(), Box::new(share)),
        ("FLOPs a token, forward".into(), Box::new(|column| grouped(column.size.forward_flops()))),
    ];
    for policy in Policy::ALL {
        let name = format!("backward, {}", policy.name());
        lines.push((name, Box::new(move |column| grouped(column.size.backward_flops(policy)))));
    }
    for storage in Storage::ALL {
        let name = format!("weights in {}", storage.name());
        lines.push((name, Box::new(move |column| bytes(column.size.weight_bytes(storage)))));
    }
    for (policy, element) in Policy::ALL.into_iter().flat_map(|policy| [Element::F32, Element::F16].map(|element| (policy, element))) {
        let name = format!("kept a token, {}, {element}", policy.name());
        lines.push((name, Box::new(move |column| bytes(Some(column.size.kept_elements(policy) * element.size())))));
    }
    lines.into_iter().map(|(name, cell)| std::iter::once(name).chain(columns.iter().map(cell)).collect()).collect()
}

fn json(column: &Column) -> Value {
    let Column { heading, function, size } = column;
    let bytes: serde_json::Map<_, _> =
        Storage::ALL.into_iter().map(|storage| (storage.name().to_owned(), json!(size.weight_bytes(storage)))).collect();
    let by_policy = |number: &dyn Fn(Policy) -> u64| -> serde_json::Map<_, _> {
        Policy::ALL.into_iter().map(|policy| (policy.name().to_owned(), json!(number(policy)))).collect()
    };
    json!({
        "layer": heading,
        "function": function,
        "gated": size.is_gated(),
        "d_model": size.d_model(),
        "d_ff": size.d_ff(),
        "parameters": size.parameters(),
        "forward_flops_per_token": size.forward_flops(),
        "backward_flops_per_token": by_policy(&|policy| size.backward_flops(policy)),
        "weight_bytes": bytes,
        "kept_elements_per_token": by_policy(&|policy| size.kept_elements(policy)),
    })
}
