//! A table for each group: a row for each workload, the adapters side by side.

use super::compare::{Cell, Comparison, Group, Row};
use super::facts::{chip, heading as adapters};
use super::marks::{color, shape};
use super::markup::Markup;
use super::numbers::{percent, plain, si, spread, whole};
use super::workload::Workload;

const COLUMNS: [&str; 4] = ["Time", "GFLOP/s", "GB/s", "Share of roof"];

/// What the groups that `ffwd bench` has are about.
fn about(group: &str) -> &'static str {
    match group {
        "elementwise" => "an activation of every element",
        "gate" => "an activation of one half times the other",
        "product" => "a matrix times a matrix",
        "decode" => "a gated feed-forward layer on very few tokens, as when text is written",
        "prefill" => "a gated feed-forward layer on many tokens, as when text is read",
        "dense" => "a feed-forward layer without a gate",
        _ => "",
    }
}

/// A group's shape.
pub fn outline(page: &mut Markup, group: usize) {
    let attributes = [("class", "shape"), ("viewBox", "-7 -7 14 14"), ("width", "14"), ("height", "14"), ("aria-hidden", "true")];
    page.element("svg", &attributes, |svg| svg.leaf("path", &[("d", shape(group))]));
}

/// All groups, and what nobody measured.
pub fn sections(comparison: &Comparison, page: &mut Markup) {
    for (index, group) in comparison.groups.iter().enumerate() {
        page.element("section", &[], |page| {
            page.element("h2", &[], |heading| {
                outline(heading, index);
                heading.text(group.name);
                if !about(group.name).is_empty() {
                    heading.say("small", &[], about(group.name));
                }
            });
            table(comparison, group, page);
        });
    }
    if !comparison.never.is_empty() {
        page.element("section", &[], |page| {
            page.say("h2", &[], "Measured nowhere");
            never(comparison, page);
        });
    }
}

fn table(comparison: &Comparison, group: &Group, page: &mut Markup) {
    page.element("div", &[("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", group.name)], |page| {
        page.element("table", &[("class", "numbers")], |table| {
            table.say("caption", &[], &format!("Workloads of the group {}", group.name));
            table.element("colgroup", &[], |columns| columns.leaf("col", &[]));
            for _ in &comparison.adapters {
                table.element("colgroup", &[("span", "4")], |_| {});
            }
            table.element("thead", &[], |head| heading(comparison, head));
            table.element("tbody", &[], |body| {
                for row in &group.rows {
                    line(comparison, row, body);
                }
            });
        });
    });
}

fn heading(comparison: &Comparison, head: &mut Markup) {
    head.element("tr", &[], |row| {
        row.say("th", &[("scope", "col"), ("rowspan", "2")], "Workload");
        for (index, adapter) in comparison.adapters.iter().enumerate() {
            row.element("th", &[("scope", "colgroup"), ("colspan", "4"), ("class", "first")], |cell| {
                chip(cell, index, adapter);
                cell.text(&adapter.label);
            });
        }
    });
    head.element("tr", &[], |row| {
        for _ in &comparison.adapters {
            for (i, column) in COLUMNS.iter().enumerate() {
                row.say("th", &[("scope", "col"), ("class", if i == 0 { "first" } else { "" })], column);
            }
        }
    });
}

fn line(comparison: &Comparison, row: &Row, body: &mut Markup) {
    body.element("tr", &[], |line| {
        line.element("th", &[("scope", "row")], |cell| {
            cell.say("span", &[("class", "number")], &row.number.to_string());
            cell.say("span", &[("class", "name")], &row.workload.name);
            cell.say("small", &[], &sizes(row.workload));
        });
        for (index, (adapter, cell)) in comparison.adapters.iter().zip(&row.cells).enumerate() {
            let first = format!("first {}", color(index));
            match cell {
                Cell::Measured(workload) => {
                    let best = if row.fastest() == Some(index) { " best" } else { "" };
                    numbers(workload, &format!("{first}{best}"), &adapter.letter, line);
                }
                Cell::Skipped(reason) => missing(&format!("skipped: {reason}"), &first, &adapter.letter, line),
                Cell::Absent => missing("not in this file", &first, &adapter.letter, line),
            }
        }
    });
}

fn sizes(workload: &Workload) -> String {
    let sizes = workload.shape.iter().map(|(name, size)| format!("{name} {}", whole(*size)));
    let intensity = format!("{}\u{a0}FLOP/byte", plain(workload.intensity()));
    sizes.chain([workload.element.clone(), intensity]).collect::<Vec<_>>().join(" · ")
}

fn numbers(workload: &Workload, first: &str, letter: &str, line: &mut Markup) {
    let seconds = &workload.seconds;
    line.element("td", &[("class", first), ("data-adapter", letter), ("data-column", COLUMNS[0])], |cell| {
        cell.say("b", &[], &si(seconds.median, "s"));
        cell.say("small", &[], &spread([seconds.p10, seconds.p90], seconds.median, "s"));
    });
    line.say("td", &[("data-column", COLUMNS[1])], &plain(workload.gflops));
    line.say("td", &[("data-column", COLUMNS[2])], &plain(workload.gbytes));
    line.element("td", &[("data-column", COLUMNS[3])], |cell| match workload.share {
        Some(share) => {
            cell.text(&percent(share));
            bar(share, cell);
            cell.say("small", &[], workload.bound.unwrap_or(""));
        }
        None => cell.say("span", &[("class", "none")], "no roof"),
    });
}

/// A bar that is full at the roof, and stays so above it.
fn bar(share: f64, cell: &mut Markup) {
    let width = format!("{:.1}", 100.0 * share.min(1.0));
    let view = [("class", "bar"), ("viewBox", "0 0 100 6"), ("preserveAspectRatio", "none"), ("aria-hidden", "true")];
    cell.element("svg", &view, |svg| {
        svg.leaf("rect", &[("class", "whole"), ("width", "100"), ("height", "6")]);
        svg.leaf("rect", &[("class", "part"), ("width", &width), ("height", "6")]);
    });
}

fn missing(text: &str, first: &str, letter: &str, line: &mut Markup) {
    line.say("td", &[("class", &format!("{first} none")), ("colspan", "4"), ("data-adapter", letter)], text);
}

fn never(comparison: &Comparison, page: &mut Markup) {
    page.element("div", &[("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Measured nowhere")], |page| {
        page.element("table", &[("class", "facts")], |table| {
            adapters(comparison, "Workload", table);
            table.element("tbody", &[], |body| {
                for (name, reasons) in &comparison.never {
                    body.element("tr", &[], |row| {
                        row.say("th", &[("scope", "row")], name);
                        for reason in reasons {
                            row.say("td", &[("class", "none")], reason.unwrap_or("not in this file"));
                        }
                    });
                }
            });
        });
    });
}
