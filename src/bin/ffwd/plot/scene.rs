//! What a picture consists of, in units of its own, y downwards.

/// Red, green and blue.
pub type Color = [u8; 3];

/// A point.
pub type Point = [f64; 2];

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// A thing to draw.
#[derive(Debug, Clone)]
pub enum Item {
    /// A line through points.
    Line {
        /// The points.
        points: Vec<Point>,
        /// Its colour.
        color: Color,
        /// Its width.
        width: f64,
        /// Lengths drawn and left out.
        dash: Option<[f64; 2]>,
    },
    /// A text on one line.
    Text {
        /// Where its baseline is anchored.
        at: Point,
        /// The text.
        text: String,
        /// Size of the font.
        size: f64,
        /// Its colour.
        color: Color,
        /// What stands at `at`.
        anchor: Anchor,
    },
    /// A rectangle.
    Bar {
        /// A corner.
        from: Point,
        /// The corner opposite.
        to: Point,
        /// Its colour.
        color: Color,
    },
    /// A disc.
    Dot {
        /// Its centre.
        at: Point,
        /// Its radius.
        radius: f64,
        /// Its colour.
        color: Color,
    },
}

impl Item {
    /// A line from one point to another.
    pub fn line(from: Point, to: Point, color: Color, width: f64) -> Self {
        Self::Line { points: vec![from, to], color, width, dash: None }
    }

    /// A text on one line.
    pub fn text(at: Point, text: impl Into<String>, size: f64, color: Color, anchor: Anchor) -> Self {
        Self::Text { at, text: text.into(), size, color, anchor }
    }
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Width and height.
    pub size: Point,
    /// What it is of, for those who cannot see it.
    pub title: String,
    /// Colour of the ground.
    pub ground: Color,
    /// Things to draw, the lowest first.
    pub items: Vec<Item>,
}

/// Distance of `p` from the segment `a` to `b`.
pub fn distance(p: Point, a: Point, b: Point) -> f64 {
    let [along, from] = [[b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]];
    let length = along[0] * along[0] + along[1] * along[1];
    let t = if length > 0.0 { ((from[0] * along[0] + from[1] * along[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    (from[0] - t * along[0]).hypot(from[1] - t * along[1])
}
