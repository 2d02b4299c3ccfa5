//! The plane in which a picture shows its data: where values stand, ticks, a grid, and the colours of it all.

use super::scene::{Anchor, Color, Item, Point};

/// Colours of what is compared.
pub const PALETTE: [Color; 12] = [
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
/// The ground.
pub const GROUND: Color = [0xfd, 0xfd, 0xfc];
/// Text.
pub const INK: Color = [0x2b, 0x2e, 0x34];
/// Text that is less important.
pub const FAINT_INK: Color = [0x73, 0x78, 0x80];
/// Lines of the grid.
const GRID: Color = [0xe9, 0xea, 0xec];
/// Lines of the axes.
pub const AXIS: Color = [0xa9, 0xad, 0xb4];

/// Size of text; labels of ticks are one smaller.
pub const FONT: f64 = 15.0;

/// A round number on an axis: where it stands, and its label.
pub type Tick = (f64, String);

/// Where a plane lies in the picture, and what of it is seen.
#[derive(Debug)]
pub struct Frame {
    /// Its left edge.
    pub left: f64,
    /// Its upper edge.
    pub top: f64,
    /// Its right edge.
    pub right: f64,
    /// Its lower edge.
    pub bottom: f64,
    /// What is at the left and at the right edge.
    pub x: (f64, f64),
    /// What is at the lower and at the upper edge.
    pub y: (f64, f64),
}

impl Frame {
    /// Where a point of the plane is in the picture.
    pub fn point(&self, x: f64, y: f64) -> Point {
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

    /// The lines through points of the picture: broken where they leave the frame, and after each point that `breaks`.
    pub fn lines(&self, points: &[Point], breaks: impl Fn(usize) -> bool) -> Vec<Vec<Point>> {
        let mut lines: Vec<Vec<Point>> = Vec::new();
        for i in 0..points.len().saturating_sub(1) {
            let (a, b) = (points[i], points[i + 1]);
            if !(a[1].is_finite() && b[1].is_finite()) || breaks(i) {
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

    /// A grid with labels below and to the left.
    pub fn grid(&self, across: &[Tick], up: &[Tick]) -> Vec<Item> {
        let Self { left, top, right, bottom, x, y } = *self;
        let text = |at, text: &str, anchor| Item::text(at, text, FONT - 1.0, FAINT_INK, anchor);
        let (mut grid, mut marks) = (Vec::new(), Vec::new());
        for (tick, label) in across {
            let at = self.point(*tick, y.0)[0];
            grid.push(Item::line([at, top], [at, bottom], GRID, 1.0));
            marks.push(Item::line([at, bottom], [at, bottom + 5.0], AXIS, 1.0));
            marks.push(text([at, bottom + 22.0], label, Anchor::Middle));
        }
        for (tick, label) in up {
            let at = self.point(x.0, *tick)[1];
            grid.push(Item::line([left, at], [right, at], GRID, 1.0));
            marks.push(Item::line([left - 5.0, at], [left, at], AXIS, 1.0));
            marks.push(text([left - 11.0, at + 0.33 * FONT], label, Anchor::End));
        }
        grid.extend(marks);
        grid
    }

    /// The line around the frame.
    pub fn border(&self) -> Item {
        let Self { left, top, right, bottom, .. } = *self;
        let points = vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
        Item::Line { points, color: AXIS, width: 1.0, dash: None }
    }
}

/// Round numbers within a range, about as many as `most`.
pub fn ticks((low, high): (f64, f64), most: f64) -> Vec<Tick> {
    let rough = (high - low) / most;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    let (size, fine) = (low.abs().max(high.abs()), step.log10().floor());
    // In full the label of a very large or small number would be too wide for its place.
    let text = |tick: f64| match (-fine).max(0.0) as usize {
        digits if digits <= 5 && size < 1e7 => format!("{tick:.digits$}"),
        _ if tick == 0.0 => "0".to_owned(),
        _ => format!("{tick:.*e}", (size.log10().floor() - fine).max(0.0) as usize),
    };
    (first..=last).map(|i| i as f64 * step).map(|tick| (tick, text(tick).replace('-', MINUS))).collect()
}

/// The range of the decimal logarithms of positive values, from a round number to a round number.
pub fn decades((low, high): (f64, f64)) -> (f64, f64) {
    let rounds = |exponent: f64| ROUND.map(|m| exponent + f64::from(m).log10());
    let (low, high) = (low.log10(), high.log10());
    let low = rounds(low.floor()).into_iter().rfind(|v| *v <= low + 1e-9).unwrap_or(low.floor());
    let high = rounds(high.floor()).into_iter().find(|v| *v >= high - 1e-9).unwrap_or(high.floor() + 1.0);
    if high - low > 0.1 { (low, high) } else { (low - 2_f64.log10(), high + 2_f64.log10()) }
}

/// Round numbers at their decimal logarithms, no closer than the range divided by `most`.
pub fn log_ticks((low, high): (f64, f64), most: f64) -> Vec<Tick> {
    let tick = |m: u8, exponent: i32| {
        let digits = usize::try_from(-exponent).unwrap_or(0);
        let text = match exponent {
            -4..=5 => format!("{:.digits$}", f64::from(m) * 10_f64.powi(exponent)),
            _ => format!("{m}e{exponent}").replace('-', MINUS),
        };
        (f64::from(exponent) + f64::from(m).log10(), text)
    };
    let ticks = |parts: &[u8], every: i32| {
        let exponents = (low.floor() as i32..=high.floor() as i32).filter(|exponent| exponent.rem_euclid(every) == 0);
        let all = exponents.flat_map(|exponent| parts.iter().map(move |m| tick(*m, exponent)));
        all.filter(|(at, _)| (low - 1e-9..=high + 1e-9).contains(at)).collect::<Vec<_>>()
    };
    let apart = (high - low) / most;
    let readable = |ticks: &Vec<Tick>| ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= apart);
    let fine = [&[1, 2, 3, 4, 5, 6, 7, 8, 9][..], &ROUND].into_iter().map(|parts| ticks(parts, 1)).find(readable);
    fine.unwrap_or_else(|| ticks(&[1], apart.ceil() as i32))
}

/// What a decade of a logarithmic axis is divided at.
const ROUND: [u8; 3] = [1, 2, 5];
/// The sign that is as wide as a plus.
pub const MINUS: &str = "\u{2212}";

/// A number with so many digits that count.
pub fn significant(value: f64, digits: usize) -> String {
    let short = format!("{value:.*e}", digits - 1);
    // Rounded first: 9.996 has one digit more before its point than it seems.
    let Some(exponent) = short.rsplit_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()) else {
        return "\u{221e}".to_owned();
    };
    match exponent {
        -4..=5 => format!("{value:.*}", usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0)),
        _ => short.replace('-', MINUS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_short() {
        assert_eq!(labels(&ticks((0.0, 2000.0), 5.0)), ["0", "500", "1000", "1500", "2000"]);
        assert_eq!(labels(&ticks((-0.1, 0.25), 4.0)), ["\u{2212}0.1", "0.0", "0.1", "0.2"]);
        assert_eq!(labels(&ticks((0.0, 3e-7), 4.0)), ["0", "1e\u{2212}7", "2e\u{2212}7", "3e\u{2212}7"]);
        assert_eq!(labels(&ticks((9e7, 1.1e8), 3.0)), ["9.0e7", "1.0e8", "1.1e8"]);
    }

    #[test]
    fn logarithmic_ticks_are_round_and_apart() {
        let of = |low: f64, high: f64| log_ticks(decades((low, high)), 10.0);
        assert_eq!(labels(&of(0.03, 1.7)), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(labels(&of(0.3, 0.31)), ["0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(labels(&of(1.0, 1.0)), ["0.5", "1", "2"]);
        assert!((2..=11).contains(&of(1e-300, 1e300).len()));
        assert_eq!(labels(&of(1e-9, 1e-6)).first(), Some(&"1e\u{2212}9"));
    }

    #[test]
    fn a_line_ends_at_the_frame() {
        let frame = Frame { left: 0.0, top: 0.0, right: 100.0, bottom: 100.0, x: (0.0, 10.0), y: (0.0, 1.0) };
        let points = [frame.point(0.0, 0.5), frame.point(5.0, 1.5), frame.point(10.0, 0.5), frame.point(10.0, f64::NAN)];
        assert_eq!(frame.lines(&points, |_| false), [[[0.0, 50.0], [25.0, 0.0]], [[75.0, 0.0], [100.0, 50.0]]]);
        assert_eq!(frame.lines(&points, |i| i == 0).len(), 1);
    }
}
