//! The report for people and for programs.

use std::io::Write;

use ffwd::weights::convert::{Loss, Planned};
use serde_json::{Value, json};

use super::Args;
use crate::error::CliError;
use crate::table::{self, Align};

/// Everything that is written.
pub struct Report<'a> {
    pub args: &'a Args,
    pub tensors: &'a [Planned],
    /// Of each tensor that was converted.
    pub losses: Vec<Option<Loss>>,
}

/// Bytes before and after.
fn totals<'a>(tensors: impl Iterator<Item = &'a Planned>) -> (u64, u64) {
    tensors.fold((0, 0), |(before, after), tensor| (before + tensor.bytes_before, after + tensor.bytes_after))
}

impl Report<'_> {
    fn rows(&self) -> impl Iterator<Item = (&Planned, &Option<Loss>)> {
        self.tensors.iter().zip(&self.losses)
    }

    /// For programs: `ffwd-quantize/1`.
    pub fn as_json(&self) -> Value {
        let row = |(tensor, loss): (&Planned, &Option<Loss>)| {
            json!({
                "name": tensor.name,
                "shape": tensor.shape,
                "from": tensor.from.to_string(),
                "to": tensor.to.to_string(),
                "bytes_before": tensor.bytes_before,
                "bytes_after": tensor.bytes_after,
                "relative_rms_error": loss.map(|loss| loss.relative_rms),
                "largest_error": loss.map(|loss| loss.largest),
                "left_because": tensor.left.map(|left| left.to_string()),
            })
        };
        let (before, after) = totals(self.tensors.iter());
        json!({
            "schema": "ffwd-quantize/1",
            "version": env!("CARGO_PKG_VERSION"),
            "input": self.args.input,
            "output": self.args.output,
            "to": self.args.to.to_string(),
            "all": self.args.all,
            "tensors": self.rows().map(row).collect::<Vec<_>>(),
            "bytes_before": before,
            "bytes_after": after,
        })
    }

    /// For people: what was converted, what was meant to be and stays, and the totals.
    pub fn print(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let heading = ["tensor", "shape", "from", "to", "bytes before", "after", "relative rms error", "largest"];
        let mut lines = vec![heading.map(String::from).to_vec()];
        for (tensor, loss) in self.rows() {
            let Some(loss) = loss else { continue };
            lines.push(vec![
                shown(&tensor.name),
                format!("{:?}", tensor.shape),
                tensor.from.to_string(),
                tensor.to.to_string(),
                tensor.bytes_before.to_string(),
                tensor.bytes_after.to_string(),
                format!("{:.3e}", loss.relative_rms),
                format!("{:.3e}", loss.largest),
            ]);
        }
        let mut align = [Align::Right; 8];
        align[..4].fill(Align::Left);
        table::print(out, &align, &lines)?;
        for (tensor, left) in self.tensors.iter().filter_map(|tensor| Some((tensor, tensor.left?))) {
            writeln!(out, "  {} {:?} stays {}: {left}", shown(&tensor.name), tensor.shape, tensor.from)?;
        }
        let copied = self.losses.iter().filter(|loss| loss.is_none()).count();
        let converted = self.losses.len() - copied;
        let (before, after) = totals(self.rows().filter(|(_, loss)| loss.is_some()).map(|(tensor, _)| tensor));
        writeln!(out, "\n{converted} converted: {before} bytes before, {after} after, {:.1}%", percent(after, before))?;
        let (before, after) = totals(self.tensors.iter());
        writeln!(out, "{copied} copied; all {}: {before} bytes before, {after} after, {:.1}%", self.losses.len(), percent(after, before))?;
        writeln!(out, "written to {}", self.args.output.display())?;
        Ok(())
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// A name from a file, which may hold anything.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}
