//! The page: one file that needs no other, no network and no script.

use super::compare::{Comparison, compare};
use super::facts::{self, chip};
use super::marks::color;
use super::markup::Markup;
use super::roofline::{Plot, Size};
use super::run::Run;
use super::tables::{self, outline};

/// Width of the column of workloads and of an adapter's, in pixels: below their sum the tables become cards on paper.
const WIDTHS: [usize; 2] = [220, 330];

/// Makes the page that shows runs side by side, as an HTML document. Every text of the runs is escaped; the same runs
/// make the same page.
pub fn page(runs: &[Run]) -> String {
    let comparison = compare(runs);
    let mut document = Markup::default();
    document.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |head| fill_head(&comparison, head));
        html.element("body", &[], |body| {
            body.element("header", &[], |header| {
                header.say("h1", &[], "ffwd bench");
                header.say("p", &[], &summary(&comparison));
            });
            body.element("main", &[], |main| fill_main(&comparison, main));
            body.element("footer", &[], |footer| {
                footer.say("p", &[], concat!("Made by ffwd report ", env!("CARGO_PKG_VERSION"), " from files of ffwd bench."));
            });
        });
    });
    document.into_document()
}

fn summary(comparison: &Comparison) -> String {
    let names: Vec<_> = comparison.adapters.iter().map(|adapter| &*adapter.label).collect();
    format!("{} on {}", count(comparison.groups.iter().map(|group| group.rows.len()).sum(), "workload"), names.join("; "))
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn fill_head(comparison: &Comparison, head: &mut Markup) {
    head.leaf("meta", &[("charset", "utf-8")]);
    head.leaf("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
    head.leaf("meta", &[("http-equiv", "Content-Security-Policy"), ("content", "default-src 'none'; style-src 'unsafe-inline'")]);
    head.leaf("meta", &[("name", "color-scheme"), ("content", "light dark")]);
    head.say("title", &[], &format!("ffwd bench: {}", summary(comparison)));
    head.style(&[], include_str!("style.css"));
    let paper = WIDTHS[0] + WIDTHS[1] * comparison.adapters.len();
    head.style(&[("media", &format!("(max-width: 700px), print and (max-width: {paper}px)"))], include_str!("cards.css"));
}

fn fill_main(comparison: &Comparison, main: &mut Markup) {
    main.element("section", &[], |section| {
        section.say("h2", &[], "Adapters");
        facts::adapters(comparison, section);
    });
    let plot = Plot::new(comparison);
    if !plot.is_empty() {
        main.element("section", &[], |section| {
            section.say("h2", &[], "Roofline");
            section.element("figure", &[], |figure| {
                plot.draw(Size::WIDE, figure);
                plot.draw(Size::NARROW, figure);
                figure.element("figcaption", &[], |caption| legend(comparison, caption));
            });
        });
    }
    tables::sections(comparison, main);
    main.element("section", &[], |section| {
        section.say("h2", &[], "What the devices allow");
        facts::limits(comparison, section);
    });
}

fn legend(comparison: &Comparison, caption: &mut Markup) {
    caption.element("ul", &[("class", "legend")], |list| {
        for (index, adapter) in comparison.adapters.iter().enumerate() {
            list.element("li", &[("class", &color(index))], |item| {
                chip(item, index, adapter);
                item.text(&adapter.label);
            });
        }
    });
    caption.element("ul", &[("class", "legend")], |list| {
        for (index, group) in comparison.groups.iter().enumerate() {
            list.element("li", &[], |item| {
                outline(item, index);
                item.text(group.name);
            });
        }
    });
    caption.say(
        "p",
        &[],
        "A line is the most that an adapter can do: what its memory feeds, up to its rate of f32 (solid) or of cooperative \
         matrices (dashed). A point is a workload, with its number in the tables; where points crowd, labels give way. \
         Intensity is of the mathematics, each operand read or written once.",
    );
    caption.say(
        "p",
        &[],
        "In the tables, a time is the median, with the 10th to the 90th percentile below it; a bar is full at the roof. A \
         time is marked ▲ where the adapter is faster than all others by more than both spreads.",
    );
}
