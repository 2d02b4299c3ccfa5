//! Columns of text.

use std::io::Write;

use crate::error::CliError;

/// Where a cell's text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At the left.
    Left,
    /// At the right, as numbers do.
    Right,
}

/// Prints rows, the first of which is the heading, each column as wide as its widest cell.
pub fn print(out: &mut dyn Write, align: &[Align], rows: &[Vec<String>]) -> Result<(), CliError> {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(align.iter().zip(&widths)).map(|(cell, (align, width))| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// An error in units in the last place; that of a fault may be astronomic.
pub fn ulps(ulp: f64, digits: usize) -> String {
    if ulp < 1e4 { format!("{ulp:.digits$}") } else { format!("{ulp:.0e}") }
}

/// In groups of three digits.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
