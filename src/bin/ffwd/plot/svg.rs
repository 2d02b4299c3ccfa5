//! A picture as SVG.

use std::fmt::Write as _;

use super::scene::{Anchor, Item, Scene};

const FONTS: &str = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The picture as text.
pub fn render(scene: &Scene) -> String {
    let [width, height] = scene.size.map(f64::ceil);
    let title = escape(&scene.title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n\
         <g fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\" font-family=\"{FONTS}\">\n",
        hex(scene.ground)
    );
    for item in &scene.items {
        // Writing to a string cannot fail.
        let _ = match item {
            Item::Line { points, color, width, dash } => {
                let points: Vec<_> = points.iter().map(|[x, y]| format!("{x:.2},{y:.2}")).collect();
                let dash = dash.map(|[on, off]| format!(" stroke-dasharray=\"{on} {off}\"")).unwrap_or_default();
                writeln!(text, "<polyline points=\"{}\" stroke=\"{}\" stroke-width=\"{width}\"{dash}/>", points.join(" "), hex(*color))
            }
            Item::Text { at: [x, y], text: line, size, color, anchor } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let (color, line) = (hex(*color), escape(line));
                writeln!(
                    text,
                    "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" fill=\"{color}\" text-anchor=\"{anchor}\">{line}</text>"
                )
            }
            Item::Bar { from, to, color } => {
                let [left, top] = [0, 1].map(|k| from[k].min(to[k]));
                let [width, height] = [0, 1].map(|k| (to[k] - from[k]).abs());
                writeln!(
                    text,
                    "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{}\"/>",
                    hex(*color)
                )
            }
            Item::Dot { at: [x, y], radius, color } => {
                writeln!(text, "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" fill=\"{}\"/>", hex(*color))
            }
        };
    }
    text.push_str("</g>\n</svg>\n");
    text
}
