//! The adapters side by side: what they are, and what they can do at best.

use super::compare::{Adapter, Comparison};
use super::marks::color;
use super::markup::Markup;
use super::numbers::{memory, percent, plain, si, whole};
use super::run::Run;

/// A row of the table: its heading, and what it says about a run.
type Fact = (&'static str, fn(&Run) -> Option<String>);

const IDENTITY: [Fact; 10] = [
    ("Adapter", |run| given(&run.adapter)),
    ("Backend", |run| given(&run.backend)),
    ("Kind", |run| given(&format!("{}{}", run.device_type, if run.software { ", software" } else { "" }))),
    ("Driver", |run| given(&format!("{} {}", run.driver, run.driver_info))),
    ("Host", |run| given(&format!("{} {}, {} threads", run.host.os, run.host.arch, whole(run.host.threads)))),
    ("Date", |run| given(&run.date)),
    ("ffwd", |run| given(&format!("{}{}", run.version, if run.quick { ", quick run" } else { "" }))),
    ("Clock", |run| given(if run.clock == "wall" { "wall clock" } else { "GPU timestamps" })),
    ("File", |run| given(&run.file.file_name().unwrap_or_default().to_string_lossy())),
    ("Largest error", |run| {
        let worst = run.workloads.iter().map(|workload| workload.worst_error).reduce(f64::max)?;
        Some(format!("{} of what is allowed", percent(worst)))
    }),
];

const CEILINGS: [Fact; 7] = [
    ("Memory, read + written", |run| rate(run.ceilings.copy, "B/s")),
    ("f32", |run| rate(run.ceilings.f32, "FLOP/s")),
    ("Cooperative matrices", |run| rate(run.ceilings.cooperative, "FLOP/s")),
    ("Bend of the f32 roof", |run| Some(format!("{}\u{a0}FLOP/byte", plain(run.ceilings.f32? / run.ceilings.copy?)))),
    ("One more dispatch", |run| rate(run.ceilings.dispatch, "s")),
    ("Upload", |run| rate(run.ceilings.upload, "B/s")),
    ("Download", |run| rate(run.ceilings.download, "B/s")),
];

const LIMITS: [Fact; 6] = [
    ("Largest buffer", |run| Some(memory(run.limits.buffer))),
    ("Largest binding", |run| Some(memory(run.limits.binding))),
    ("Workgroup storage", |run| Some(memory(run.limits.workgroup_storage))),
    ("Workgroup size", |run| Some(format!("{} invocations", whole(run.limits.invocations)))),
    ("Subgroups", |run| match run.limits.subgroups {
        (smallest, largest) if smallest == largest => Some(whole(smallest)),
        (smallest, largest) => Some(format!("{} to {}", whole(smallest), whole(largest))),
    }),
    ("Features", |run| given(&run.features.join(", "))),
];

fn given(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn rate(value: Option<f64>, unit: &str) -> Option<String> {
    value.map(|value| si(value, unit))
}

/// An adapter's letter in its colour.
pub fn chip(page: &mut Markup, index: usize, adapter: &Adapter) {
    page.say("span", &[("class", &format!("chip {}", color(index)))], &adapter.letter);
}

/// Who they are, and what was measured to judge them by.
pub fn adapters(comparison: &Comparison, page: &mut Markup) {
    table(comparison, &[("Fact", &IDENTITY), ("Ceilings, measured", &CEILINGS)], "Adapters", page);
}

/// What the devices allow.
pub fn limits(comparison: &Comparison, page: &mut Markup) {
    table(comparison, &[("Limit", &LIMITS)], "Limits", page);
}

/// A heading that names the adapters.
pub fn heading(comparison: &Comparison, corner: &str, table: &mut Markup) {
    table.element("thead", &[], |head| {
        head.element("tr", &[], |row| {
            row.say("th", &[("scope", "col")], corner);
            for (index, adapter) in comparison.adapters.iter().enumerate() {
                row.element("th", &[("scope", "col")], |cell| {
                    chip(cell, index, adapter);
                    cell.text(&adapter.label);
                });
            }
        });
    });
}

fn table(comparison: &Comparison, parts: &[(&str, &[Fact])], name: &str, page: &mut Markup) {
    let columns = (comparison.adapters.len() + 1).to_string();
    page.element("div", &[("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", name)], |page| {
        page.element("table", &[("class", "facts")], |table| {
            heading(comparison, parts.first().map_or("", |part| part.0), table);
            for (index, (title, facts)) in parts.iter().enumerate() {
                table.element("tbody", &[], |body| {
                    if index > 0 {
                        body.element("tr", &[("class", "title")], |row| {
                            row.say("th", &[("scope", "rowgroup"), ("colspan", &columns)], title);
                        });
                    }
                    for fact in *facts {
                        row(comparison, fact, body);
                    }
                });
            }
        });
    });
}

fn row(comparison: &Comparison, (name, fact): &Fact, body: &mut Markup) {
    body.element("tr", &[], |row| {
        row.say("th", &[("scope", "row")], name);
        for adapter in &comparison.adapters {
            match fact(adapter.run) {
                Some(text) => row.say("td", &[], &text),
                None => row.say("td", &[("class", "none")], "none"),
            }
        }
    });
}
