//! A picture as SVG.

use std::fmt::Write as _;

use super::scene::{Anchor, Item, Point, Scene, distance};

const FONTS: &str = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";

/// How far from a line a point must lie to be seen, in units of the picture.
const SEEN: f64 = 0.05;

/// A line without the points that nobody would miss (Douglas & Peucker 1973).
fn simplified(points: &[Point]) -> Vec<Point> {
    let (Some(&a), Some(&b)) = (points.first(), points.last()) else { return Vec::new() };
    let off = |i: usize| distance(points[i], a, b);
    match (1..points.len() - 1).max_by(|i, k| off(*i).total_cmp(&off(*k))) {
        Some(farthest) if off(farthest) > SEEN => {
            let mut line = simplified(&points[..=farthest]);
            line.extend(&simplified(&points[farthest..])[1..]);
            line
        }
        _ => vec![a, b],
    }
}

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
                let points: Vec<_> = simplified(points).iter().map(|[x, y]| format!("{x:.2},{y:.2}")).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_would_miss_is_left_out() {
        let straight: Vec<Point> = (0..100).map(|i| [f64::from(i), 2.0 * f64::from(i)]).collect();
        assert_eq!(simplified(&straight), [[0.0, 0.0], [99.0, 198.0]]);
        let corner = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0], [4.0, 2.0]];
        assert_eq!(simplified(&corner), [[0.0, 0.0], [2.0, 0.0], [4.0, 2.0]]);
        let curve: Vec<Point> = (0..=400).map(|i| [f64::from(i), 100.0 * (f64::from(i) / 40.0).sin()]).collect();
        let line = simplified(&curve);
        // Where it bends most, 1/16 a unit, chords of 2.5 units are 0.05 off.
        assert!(line.len() < 200, "{}", line.len());
        for point in &curve {
            assert!(line.windows(2).any(|ends| distance(*point, ends[0], ends[1]) <= SEEN), "{point:?}");
        }
        let closed = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 0.0]];
        assert_eq!(simplified(&closed), closed);
        assert_eq!(simplified(&[[1.0, 2.0]; 2]).len(), 2);
    }
}
