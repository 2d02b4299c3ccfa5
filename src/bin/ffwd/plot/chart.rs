//! From curves to a picture: axes, grid, lines, legend.

use super::frame::{AXIS, FAINT_INK, FONT, Frame, GROUND, INK, PALETTE, ticks};
use super::scene::{Anchor, Color, Item, Point, Scene};

/// What the curves are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Values and derivatives.
    Values,
    /// Errors of both, in units in the last place.
    Errors,
}

impl Quantity {
    /// What a full and a broken line mean.
    pub const fn names(self) -> [&'static str; 2] {
        match self {
            Self::Values => ["value", "derivative"],
            Self::Errors => ["value, ULP", "derivative, ULP"],
        }
    }
}

/// An activation at every sample.
#[derive(Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Values, or their errors.
    pub value: Vec<f32>,
    /// Derivatives, or their errors.
    pub derivative: Vec<f32>,
}

const DASH: [f64; 2] = [5.0, 6.0];
const CURVE_WIDTH: f64 = 2.4;
const DERIVATIVE_WIDTH: f64 = 1.7;
const LEGEND_LINE: f64 = 26.0;
const SAMPLE: f64 = 28.0;

/// The lines of a curve: broken where it leaves, and values where they jump.
fn lines(frame: &Frame, x: &[f32], y: &[f32], quantity: Quantity) -> Vec<Vec<Point>> {
    let points: Vec<Point> = x.iter().zip(y).map(|(x, y)| frame.point((*x).into(), (*y).into())).collect();
    let step = |i: usize| points.get(i + 1).map_or(0.0, |next| (next[1] - points[i][1]).abs());
    let jumps = |i: usize| step(i) > 8.0 && step(i) > 4.0 * step(i.saturating_sub(1)).max(step(i + 1).min(step(i) - 1.0));
    frame.lines(&points, |i| quantity == Quantity::Values && jumps(i))
}

/// What of the y axis is seen: all of the curves, but of values no more up or down than the x axis is long to either side.
fn heights(x: (f64, f64), curves: &[Curve], quantity: Quantity) -> (f64, f64) {
    let most = if quantity == Quantity::Values { x.0.abs().max(x.1.abs()).max(1.0) } else { f64::MAX };
    let values = curves.iter().flat_map(|curve| curve.value.iter().chain(&curve.derivative)).map(|v| f64::from(*v));
    let (low, high) = values.filter(|v| v.is_finite()).fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (low.max(-most), high.min(most));
    let margin = 0.05 * (high - low).max(1e-3);
    (low - margin, high + margin)
}

/// Draws curves over samples of x.
pub fn draw(x: &[f32], curves: &[Curve], quantity: Quantity) -> Scene {
    let [value, derivative] = quantity.names();
    let names = curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0).max(derivative.len()) as f64;
    let legend = 24.0 + SAMPLE + 12.0 + names * FONT * 0.56 + 20.0;
    let height = (LEGEND_LINE * (curves.len() + 3) as f64 + 90.0).max(620.0);
    let range = (f64::from(*x.first().unwrap_or(&0.0)), f64::from(*x.last().unwrap_or(&1.0)));
    let (left, top, right, bottom) = (72.0, 32.0, 860.0, height - 64.0);
    let frame = Frame { left, top, right, bottom, x: range, y: heights(range, curves, quantity) };
    let mut items = axes(&frame);
    let colored: Vec<_> = curves.iter().zip(PALETTE.into_iter().cycle()).collect();
    let mut add = |y: &[f32], color, width, dash| {
        items.extend(lines(&frame, x, y, quantity).into_iter().map(|points| Item::Line { points, color, width, dash }));
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
        items.push(Item::text([start + SAMPLE + 12.0, row + 0.33 * FONT], text, FONT, ink, Anchor::Start));
    };
    for &(curve, color) in &colored {
        entry(&curve.name, LEGEND_LINE, color, INK, CURVE_WIDTH, None);
    }
    entry(value, 1.5 * LEGEND_LINE, FAINT_INK, FAINT_INK, CURVE_WIDTH, None);
    entry(derivative, LEGEND_LINE, FAINT_INK, FAINT_INK, DERIVATIVE_WIDTH, Some(DASH));
    let title = curves.iter().map(|curve| curve.name.as_str()).collect::<Vec<_>>().join(", ");
    Scene { size: [right + legend, height], title: format!("{title}: {value} and {derivative}"), ground: GROUND, items }
}

fn axes(frame: &Frame) -> Vec<Item> {
    let Frame { left, top, right, bottom, x, y } = *frame;
    let mut items = frame.grid(&ticks(x, 12.0), &ticks(y, 9.0));
    if x.0 < 0.0 && x.1 > 0.0 {
        let zero = frame.point(0.0, 0.0)[0];
        items.push(Item::line([zero, top], [zero, bottom], AXIS, 1.2));
    }
    if y.0 < 0.0 && y.1 > 0.0 {
        let zero = frame.point(0.0, 0.0)[1];
        items.push(Item::line([left, zero], [right, zero], AXIS, 1.2));
    }
    items.push(frame.border());
    items.push(Item::text([0.5 * (left + right), bottom + 48.0], "x", FONT, INK, Anchor::Middle));
    items
}
