//! A small font of strokes, for pictures without one: the letters of names, digits and a few signs.
//!
//! A stroke is points on a grid (baseline 0, small letters 10 high, tall ones 15); `~` makes it a smooth curve.

use super::scene::Point;

/// Units of the grid in one font size, and between letters.
const EM: f64 = 20.5;
const GAP: f64 = 3.1;
/// Thickness of a stroke in parts of the font size.
pub const STROKE: f64 = 0.088;
const SPACE: f64 = 5.0;
/// Steps from one point of a curve to the next.
const STEPS: usize = 6;

const BOWL: &str = "~9,5 7.7,8.8 4.5,10 1.3,8.8 0,5 1.3,1.2 4.5,0 7.7,1.2 9,5";
const ARCH: &str = "~0,6.2 1.2,8.9 4,10 6.8,8.9 7.6,6.2;7.6,6.2 7.6,0";

fn strokes(letter: char) -> Vec<&'static str> {
    let text = match letter {
        'a' => return vec![BOWL, "9,10 9,0"],
        'b' => return vec![BOWL, "0,15 0,0"],
        'c' => "~8.5,8 7,9.5 4.5,10 1.3,8.8 0,5 1.3,1.2 4.5,0 7,0.5 8.5,2",
        'd' => return vec![BOWL, "9,15 9,0"],
        'e' => "0,5.2 9,5.2;~9,5.2 8,8.6 4.5,10 1.3,8.8 0,5 1.3,1.2 4.5,0 7,0.5 8.6,2.3",
        'f' => "~6,14.9 4.3,14.9 3,14 2.6,12;2.6,12 2.6,0;0,10 5.8,10",
        'g' => return vec![BOWL, "9,10 9,-1", "~9,-1 8.2,-3.8 4.8,-5 1.2,-4"],
        'h' => return vec!["0,15 0,0", ARCH],
        'i' => "0,10 0,0;0,13.9 0,14.3",
        'j' => "2,10 2,-2.6;~2,-2.6 1.4,-4.5 -0.4,-4.9;2,13.9 2,14.3",
        'k' => "0,15 0,0;7,10 0,3.6;2.7,6 7.6,0",
        'l' => "0,15 0,0",
        'm' => "0,10 0,0;~0,6.2 1,8.9 3.2,10 5.4,8.9 6.2,6.2;6.2,6.2 6.2,0;~6.2,6.2 7.2,8.9 9.4,10 11.6,8.9 12.4,6.2;12.4,6.2 12.4,0",
        'n' => return vec!["0,10 0,0", ARCH],
        'o' => BOWL,
        'p' => return vec![BOWL, "0,10 0,-5"],
        'q' => return vec![BOWL, "9,10 9,-5"],
        'r' => "0,10 0,0;~0,5.8 1,8.7 2.8,9.8 4.6,9.9",
        's' => "~7,8.2 5.8,9.6 3.8,10 1.5,9.3 0.7,7.6 1.7,6 3.8,5.2 6.2,4.3 7.2,2.6 6.3,0.8 3.8,0 1.4,0.4 0,1.9",
        't' => "2.6,13.5 2.6,2.8;~2.6,2.8 3.1,0.7 4.6,0 6.2,0.2;0,10 5.9,10",
        'u' => "0,10 0,3.8;~0,3.8 0.8,1.1 3.6,0 6.4,1.1 7.6,3.8;7.6,10 7.6,0",
        'v' => "0,10 4.1,0 8.2,10",
        'w' => "0,10 3.1,0 6.2,10 9.3,0 12.4,10",
        'x' => "0,10 7.8,0;7.8,10 0,0",
        'y' => "0,10 4.1,0;8.2,10 2.7,-3.5;~2.7,-3.5 1.8,-4.7 0.2,-4.9",
        'z' => "0.2,10 7.2,10 0,0 7.6,0",
        '0' => "~4.5,15 1.2,12.9 0,7.5 1.2,2.1 4.5,0 7.8,2.1 9,7.5 7.8,12.9 4.5,15",
        '1' => "0.6,12.2 4.4,15 4.4,0",
        '2' => "~0.4,11.2 1.5,14 4.5,15 7.6,13.9 8.4,11.2 7.1,8.3;7.1,8.3 0,0 9,0",
        '3' => "~0.4,12.4 1.8,14.4 4.4,15 7.4,14 8.2,11.5 7.1,9 4.2,8;~4.2,8 7.8,6.9 9,4.1 7.6,1.2 4.4,0 1.4,0.7 0,3",
        '4' => "7,0 7,15 0,4.3 9.5,4.3",
        '5' => "8.2,15 1.4,15 0.7,8.2;~0.7,8.2 2.4,9.4 4.8,9.7 7.9,8.3 9,4.9 7.7,1.5 4.5,0 1.5,0.6 0,2.6",
        '6' => "~7.8,13.2 6.4,14.7 4.7,15 1.6,12.9 0,7.4 0,4.8;~0,4.8 1.2,1.4 4.5,0 7.8,1.4 9,4.8 7.8,8.2 4.5,9.5 1.2,8.2 0,4.8",
        '7' => "0,15 9,15 3.2,0",
        '8' => {
            "~4.5,15 1.6,14 0.6,11.6 1.6,9.2 4.5,8.2 7.4,9.2 8.4,11.6 7.4,14 4.5,15;~4.5,8.2 1.1,7 0,4.1 1.1,1.2 4.5,0 7.9,1.2 9,4.1 7.9,7 4.5,8.2"
        }
        '9' => "~1.2,1.8 2.6,0.3 4.3,0 7.4,2.1 9,7.6 9,10.2;~9,10.2 7.8,13.6 4.5,15 1.2,13.6 0,10.2 1.2,6.8 4.5,5.5 7.8,6.8 9,10.2",
        '-' | '\u{2212}' => "0,6.6 7.6,6.6",
        '.' => "0.8,0 0.8,0.5",
        '_' => "0,-2.4 8,-2.4",
        // What is not in the font is a box.
        _ => "0,0 0,15 8,15 8,0 0,0",
    };
    text.split(';').collect()
}

/// The lines of a text from the origin on, y downwards, and its width.
pub fn lines(text: &str, size: f64) -> (Vec<Vec<Point>>, f64) {
    let scale = size / EM;
    let (mut lines, mut at) = (Vec::new(), 0.0);
    // Names are of small letters, whatever was typed.
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter == ' ' {
            at += SPACE;
            continue;
        }
        let parts = strokes(letter).into_iter().flat_map(|part| part.split(';')).map(outline).collect::<Vec<_>>();
        let width = parts.iter().flatten().map(|point| point[0]).fold(0.0, f64::max);
        lines.extend(parts.into_iter().map(|part| part.into_iter().map(|[x, y]| [(at + x) * scale, -y * scale]).collect()));
        at += width + GAP;
    }
    (lines, (at - GAP).max(0.0) * scale)
}

fn outline(stroke: &str) -> Vec<Point> {
    let number = |text: &str| text.parse().unwrap_or(0.0);
    let points: Vec<Point> =
        stroke.trim_start_matches('~').split(' ').filter_map(|pair| pair.split_once(',')).map(|(x, y)| [number(x), number(y)]).collect();
    if stroke.starts_with('~') { smooth(&points) } else { points }
}

/// A Catmull-Rom curve through points, closed where the last is the first.
fn smooth(points: &[Point]) -> Vec<Point> {
    let Some(last) = points.len().checked_sub(1) else { return Vec::new() };
    let closed = points[0] == points[last];
    let before = |i: usize| {
        if i > 0 {
            points[i - 1]
        } else if closed {
            points[last - 1]
        } else {
            points[0]
        }
    };
    let after = |i: usize| {
        if i < last {
            points[i + 1]
        } else if closed {
            points[1]
        } else {
            points[last]
        }
    };
    let mut curve = vec![points[0]];
    for i in 0..last {
        let (a, b, c, d) = (before(i), points[i], points[i + 1], after(i + 1));
        curve.extend((1..=STEPS).map(|step| {
            let t = step as f64 / STEPS as f64;
            [0, 1].map(|k| {
                let (u, v) = (c[k] - a[k], d[k] - b[k]);
                let (p, q) = (u + v - 4.0 * (c[k] - b[k]), 6.0 * (c[k] - b[k]) - 2.0 * u - v);
                b[k] + 0.5 * t * (u + t * (q + t * p))
            })
        }));
    }
    curve
}
