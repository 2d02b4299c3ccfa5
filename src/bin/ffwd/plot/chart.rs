//! From curves to a picture: axes, grid, lines, legend.

use super::scene::{Anchor, Color, Item, Point, Scene};

/// An activation at every sample.
#[derive(Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Values.
    pub value: Vec<f32>,
    /// Derivatives.
    pub derivative: Vec<f32>,
}

const PALETTE: [Color; 12] = [
    [0x42, 0x69, 0xd0],
    [0xe3, 0x5a, 0x45],
    [0x2f, 0x9e, 0x4b],
    [0xa4, 0x63, 0xf2],
    [0xe0, 0x9f, 0x0c],
    [0x3f, 0xb3, 0xa2],
    [0xe8, 0x6f, 0xa5],
    [0x8f, 0x64, 0x49],
    [0x5b, 0x9b, 0xe8],
    [0x8f, 0x9a, 0x1e],
    [0x9c, 0x2f, 0x63],
    [0x6d, 0x76, 0x83],
];
const GROUND: Color = [0xfd, 0xfd, 0xfc];
const INK: Color = [0x2b, 0x2e, 0x34];
const FAINT_INK: Color = [0x73, 0x78, 0x80];
const GRID: Color = [0xe9, 0xea, 0xec];
const AXIS: Color = [0xa9, 0xad, 0xb4];

const DASH: [f64; 2] = [5.0, 6.0];
const CURVE_WIDTH: f64 = 2.4;
const DERIVATIVE_WIDTH: f64 = 1.7;
const FONT: f64 = 15.0;
const LEGEND_LINE: f64 = 26.0;
const SAMPLE: f64 = 28.0;

/// Where the plane of the curves lies, and what of it is seen.
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn point(&self, x: f64, y: f64) -> Point {
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        [self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)]
    }

    /// The part of the segment that is seen.
    fn clip(&self, a: Point, b: Point) -> Option<(Point, Point)> {
        let cut = |from: Point, to: Point, y: f64| [from[0] + (to[0] - from[0]) * (y - from[1]) / (to[1] - from[1]), y];
        let inside = |from: Point, to: Point| match from[1] {
            y if y < self.top => cut(from, to, self.top),
            y if y > self.bottom => cut(from, to, self.bottom),
            _ => from,
        };
        let outside = |y: f64, limit: f64, sign: f64| (y - limit) * sign > 0.0;
        let hidden = outside(a[1], self.top, -1.0) && outside(b[1], self.top, -1.0)
            || outside(a[1], self.bottom, 1.0) && outside(b[1], self.bottom, 1.0);
        (!hidden).then(|| (inside(a, b), inside(b, a)))
    }

    /// The lines of a curve: broken where it jumps or leaves.
    fn lines(&self, x: &[f32], y: &[f32]) -> Vec<Vec<Point>> {
        let points: Vec<Point> = x.iter().zip(y).map(|(x, y)| self.point((*x).into(), (*y).into())).collect();
        let step = |i: usize| points.get(i + 1).map_or(0.0, |next| (next[1] - points[i][1]).abs());
        let jumps = |i: usize| step(i) > 8.0 && step(i) > 4.0 * step(i.saturating_sub(1)).max(step(i + 1).min(step(i) - 1.0));
        let mut lines: Vec<Vec<Point>> = Vec::new();
        for i in 0..points.len().saturating_sub(1) {
            let (a, b) = (points[i], points[i + 1]);
            if !(a[1].is_finite() && b[1].is_finite()) || jumps(i) {
                continue;
            }
            let Some((a, b)) = self.clip(a, b) else { continue };
            match lines.last_mut() {
                Some(line) if line.last() == Some(&a) => line.push(b),
                _ => lines.push(vec![a, b]),
            }
        }
        lines
    }
}

/// Round numbers within a range, and the digits they need.
fn ticks((low, high): (f64, f64), most: f64) -> (Vec<f64>, usize) {
    let rough = (high - low) / most;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    ((first..=last).map(|i| i as f64 * step).collect(), (-step.log10().floor()).max(0.0) as usize)
}

fn label(tick: f64, digits: usize) -> String {
    format!("{tick:.digits$}").replace('-', "\u{2212}")
}

/// What of the y axis is seen: all of the curves, but no more up or down than the x axis is long to either side.
fn heights(x: (f64, f64), curves: &[Curve]) -> (f64, f64) {
    let most = x.0.abs().max(x.1.abs()).max(1.0);
    let values = curves.iter().flat_map(|curve| curve.value.iter().chain(&curve.derivative)).map(|v| f64::from(*v));
    let (low, high) = values.filter(|v| v.is_finite()).fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (low.max(-most), high.min(most));
    let margin = 0.05 * (high - low).max(1e-3);
    (low - margin, high + margin)
}

/// Draws curves over samples of x.
pub fn draw(x: &[f32], curves: &[Curve]) -> Scene {
    let names = curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0).max("derivative".len()) as f64;
    let legend = 24.0 + SAMPLE + 12.0 + names * FONT * 0.56 + 20.0;
    let height = (LEGEND_LINE * (curves.len() + 3) as f64 + 90.0).max(620.0);
    let range = (f64::from(*x.first().unwrap_or(&0.0)), f64::from(*x.last().unwrap_or(&1.0)));
    let (left, top, right, bottom) = (72.0, 32.0, 860.0, height - 64.0);
    let frame = Frame { left, top, right, bottom, x: range, y: heights(range, curves) };
    let mut items = axes(&frame);
    let colored: Vec<_> = curves.iter().zip(PALETTE.into_iter().cycle()).collect();
    let mut add = |y: &[f32], color, width, dash| {
        items.extend(frame.lines(x, y).into_iter().map(|points| Item::Line { points, color, width, dash }));
    };
    // The first name lies on top.
    for &(curve, color) in colored.iter().rev() {
        add(&curve.derivative, color, DERIVATIVE_WIDTH, Some(DASH));
    }
    for &(curve, color) in colored.iter().rev() {
        add(&curve.value, color, CURVE_WIDTH, None);
    }
    let mut row = top + 12.0 - LEGEND_LINE;
    let mut entry = |text: &str, above: f64, color: Color, ink: Color, width: f64, dash: Option<[f64; 2]>| {
        row += above;
        let start = right + 24.0;
        items.push(Item::Line { points: vec![[start, row], [start + SAMPLE, row]], color, width, dash });
        let at = [start + SAMPLE + 12.0, row + 0.33 * FONT];
        items.push(Item::Text { at, text: text.to_owned(), size: FONT, color: ink, anchor: Anchor::Start });
    };
    for &(curve, color) in &colored {
        entry(&curve.name, LEGEND_LINE, color, INK, CURVE_WIDTH, None);
    }
    entry("value", 1.5 * LEGEND_LINE, FAINT_INK, FAINT_INK, CURVE_WIDTH, None);
    entry("derivative", LEGEND_LINE, FAINT_INK, FAINT_INK, DERIVATIVE_WIDTH, Some(DASH));
    let title = curves.iter().map(|curve| curve.name.as_str()).collect::<Vec<_>>().join(", ");
    Scene { size: [right + legend, height], title: format!("{title}: values and derivatives"), ground: GROUND, items }
}

fn axes(frame: &Frame) -> Vec<Item> {
    let Frame { left, top, right, bottom, x, y } = *frame;
    let line = |a: Point, b: Point, color, width| Item::Line { points: vec![a, b], color, width, dash: None };
    let text = |at, text, anchor| Item::Text { at, text, size: FONT - 1.0, color: FAINT_INK, anchor };
    let (mut grid, mut marks) = (Vec::new(), Vec::new());
    let (across, digits) = ticks(x, 12.0);
    for tick in across {
        let at = frame.point(tick, 0.0)[0];
        grid.push(line([at, top], [at, bottom], GRID, 1.0));
        marks.push(line([at, bottom], [at, bottom + 5.0], AXIS, 1.0));
        marks.push(text([at, bottom + 22.0], label(tick, digits), Anchor::Middle));
    }
    let (up, digits) = ticks(y, 9.0);
    for tick in up {
        let at = frame.point(0.0, tick)[1];
        grid.push(line([left, at], [right, at], GRID, 1.0));
        marks.push(line([left - 5.0, at], [left, at], AXIS, 1.0));
        marks.push(text([left - 11.0, at + 0.33 * FONT], label(tick, digits), Anchor::End));
    }
    if x.0 < 0.0 && x.1 > 0.0 {
        let zero = frame.point(0.0, 0.0)[0];
        marks.push(line([zero, top], [zero, bottom], AXIS, 1.2));
    }
    if y.0 < 0.0 && y.1 > 0.0 {
        let zero = frame.point(0.0, 0.0)[1];
        marks.push(line([left, zero], [right, zero], AXIS, 1.2));
    }
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
    marks.push(Item::Line { points: corners.to_vec(), color: AXIS, width: 1.0, dash: None });
    marks.push(Item::Text { at: [0.5 * (left + right), bottom + 48.0], text: "x".into(), size: FONT, color: INK, anchor: Anchor::Middle });
    grid.extend(marks);
    grid
}
