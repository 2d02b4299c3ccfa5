//! The roofline plot: operations per byte against operations per second, one roof and one colour for each adapter.

use super::axis::Axis;
use super::compare::{Comparison, Row};
use super::marks::{color, shape};
use super::markup::Markup;
use super::numbers::{percent, plain, si};
use super::room::{Area, Room};
use super::workload::Workload;

/// Points beyond which none is labelled.
const MOST_LABELS: usize = 400;
/// Pixels of a label's letter, wide and high.
const LETTER: [f64; 2] = [6.6, 12.0];
/// Half of a point's width, with what parts it from a label.
const POINT: f64 = 6.5;

/// A size of the picture; the style sheet shows the one that fits the screen.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    class: &'static str,
    width: f64,
    height: f64,
    /// How far a label may stand from its point, the best first.
    reach: &'static [f64],
}

impl Size {
    /// For screens and paper.
    pub const WIDE: Self = Self { class: "plot wide", width: 1080.0, height: 600.0, reach: &[POINT, 14.0, 24.0] };
    /// For phones.
    pub const NARROW: Self = Self { class: "plot narrow", width: 370.0, height: 460.0, reach: &[POINT] };
}

/// A point of the plot.
struct Point<'a> {
    adapter: usize,
    group: usize,
    row: &'a Row<'a>,
    workload: &'a Workload,
}

/// A roof: what it is called, whose it is, its slope in bytes per second and its height in operations per second.
struct Roof {
    adapter: usize,
    cooperative: bool,
    slope: f64,
    height: f64,
}

/// The picture, without points of workloads that have no operations.
pub struct Plot<'a> {
    comparison: &'a Comparison<'a>,
    points: Vec<Point<'a>>,
    roofs: Vec<Roof>,
}

impl<'a> Plot<'a> {
    /// Gathers points and roofs.
    pub fn new(comparison: &'a Comparison<'a>) -> Self {
        let rows = comparison.groups.iter().enumerate().flat_map(|(group, rows)| rows.rows.iter().map(move |row| (group, row)));
        let points = rows.flat_map(|(group, row)| row.measured().map(move |(adapter, workload)| Point { adapter, group, row, workload }));
        let points = points.filter(|point| point.workload.flops > 0.0 && point.workload.gflops > 0.0).collect();
        let roofs = comparison.adapters.iter().enumerate().flat_map(|(adapter, of)| {
            let ceilings = of.run.ceilings;
            let roof = move |cooperative, height: Option<f64>| Some(Roof { adapter, cooperative, slope: ceilings.copy?, height: height? });
            [roof(false, ceilings.f32), roof(true, ceilings.cooperative)].into_iter().flatten()
        });
        Self { comparison, points, roofs: roofs.collect() }
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.roofs.is_empty()
    }

    /// Draws it.
    pub fn draw(&self, size: Size, page: &mut Markup) {
        let [x, y] = self.axes(size);
        let area = Area { x: 62.0, y: 30.0, w: size.width - 76.0, h: size.height - 78.0 };
        let mut room = Room::new(area);
        let view = format!("0 0 {} {}", size.width, size.height);
        let name = format!(
            "Roofline plot: {} points of {} adapters under {} roofs; the tables below hold every number",
            self.points.len(),
            self.comparison.adapters.len(),
            self.roofs.len()
        );
        let attributes =
            [("class", size.class), ("xmlns", "http://www.w3.org/2000/svg"), ("viewBox", &view), ("role", "img"), ("aria-label", &name)];
        page.element("svg", &attributes, |svg| {
            grid(svg, area, x, y);
            let lines: Vec<_> = self.roofs.iter().map(|roof| roof.line(x, y)).collect();
            for line in lines.iter().flat_map(|line| line.windows(2)) {
                room.take_line([line[0], line[1]]);
            }
            for point in &self.points {
                room.take(Area::around(point.at(x, y), [2.0 * POINT; 2]));
            }
            for (roof, line) in self.roofs.iter().zip(&lines) {
                self.roof(svg, roof, line, &mut room);
            }
            self.labels(svg, [x, y], size.reach, &mut room);
            for point in &self.points {
                self.point(svg, point, x, y);
            }
        });
    }

    /// Axes that hold every point and the bend of every roof.
    fn axes(&self, size: Size) -> [Axis; 2] {
        let mut x = range(self.points.iter().map(|p| p.workload.intensity()).chain(self.roofs.iter().map(|roof| roof.height / roof.slope)));
        x = [x[0] / 1.8, x[1] * 3.0];
        let heights = self.roofs.iter().flat_map(|roof| [roof.height, roof.slope * x[0] * 2.0]);
        let y = range(self.points.iter().map(|point| point.workload.gflops).chain(heights.map(|flops| flops * 1e-9)));
        let y = [y[0] / 1.8, y[1] * 2.2];
        [Axis::new(x, [62.0, size.width - 14.0]), Axis::new(y, [size.height - 48.0, 30.0])]
    }

    fn roof(&self, svg: &mut Markup, roof: &Roof, line: &[[f64; 2]], room: &mut Room) {
        let letter = &self.comparison.adapters[roof.adapter].letter;
        let class = format!("roof {}{}", color(roof.adapter), if roof.cooperative { " cooperative" } else { "" });
        let points: Vec<_> = line.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let kind = if roof.cooperative { "cooperative matrices" } else { "f32" };
        let (height, slope) = (si(roof.height, "FLOP/s"), si(roof.slope, "B/s"));
        svg.element("g", &[("class", &class)], |g| {
            g.say("title", &[], &format!("{letter}: {kind} {height}, memory {slope}"));
            g.leaf("polyline", &[("points", &points.join(" "))]);
            let flat = format!("{letter} {}{height}", if roof.cooperative { "cooperative " } else { "" });
            let [width, high] = [LETTER[0] * flat.chars().count() as f64, LETTER[1]];
            if let [.., bend, end] = line {
                let places = (0..8).flat_map(|step| {
                    let x = end[0] - width - 4.0 - (end[0] - bend[0] - width).max(0.0) * f64::from(step) / 8.0;
                    [-high - 3.0, 3.0].map(|dy| Area { x, y: end[1] + dy, w: width, h: high })
                });
                label(g, room.place(places), &flat);
            }
            // The slope is the same for both of an adapter's roofs.
            if let ([start, bend, _], false) = (line, roof.cooperative) {
                let text = format!("{letter} {slope}");
                let width = LETTER[0] * text.chars().count() as f64;
                let places = (2..16).flat_map(|step| {
                    let t = f64::from(step) / 20.0;
                    let (x, y) = (start[0] + t * (bend[0] - start[0]), start[1] + t * (bend[1] - start[1]));
                    [[x - width - 8.0, y - high], [x + 10.0, y + 1.0]].map(|[x, y]| Area { x, y, w: width, h: high })
                });
                label(g, room.place(places), &text);
            }
        });
    }

    /// Letters and numbers beside the points, as far as there is room.
    fn labels(&self, svg: &mut Markup, [x, y]: [Axis; 2], reach: &[f64], room: &mut Room) {
        if self.points.len() > MOST_LABELS {
            return;
        }
        for point in &self.points {
            let at = point.at(x, y);
            let text = self.short(point);
            let size = [LETTER[0] * text.chars().count() as f64 + 2.0, LETTER[1]];
            let around = |distance: f64| {
                [(1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)].map(|(dx, dy)| {
                    let reach = [distance + size[0] / 2.0, distance + size[1] / 2.0];
                    Area::around([at[0] + f64::from(dx) * reach[0], at[1] + f64::from(dy) * reach[1]], size)
                })
            };
            let Some(place) = room.place(reach.iter().copied().flat_map(around)) else { continue };
            let middle = place.middle();
            svg.element("g", &[("class", &format!("mark {}", color(point.adapter)))], |g| {
                let far =
                    (middle[0] - at[0]).abs() > POINT + size[0] / 2.0 + 1.0 || (middle[1] - at[1]).abs() > POINT + size[1] / 2.0 + 1.0;
                if far {
                    let end = [at[0].clamp(place.x, place.x + place.w), at[1].clamp(place.y, place.y + place.h)];
                    let [x1, y1, x2, y2] = [at[0], at[1], end[0], end[1]].map(|v| format!("{v:.1}"));
                    g.leaf("line", &[("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
                }
                label(g, Some(place), &text);
            });
        }
    }

    /// A point's number, with the adapter's letter where there are several.
    fn short(&self, point: &Point) -> String {
        let letter = if self.comparison.adapters.len() > 1 { &*self.comparison.adapters[point.adapter].letter } else { "" };
        format!("{letter}{}", point.row.number)
    }

    fn point(&self, svg: &mut Markup, point: &Point, x: Axis, y: Axis) {
        let [at_x, at_y] = point.at(x, y);
        let (class, place) = (format!("point {}", color(point.adapter)), format!("translate({at_x:.1} {at_y:.1})"));
        svg.element("g", &[("class", &class), ("transform", &place)], |g| {
            g.say("title", &[], &self.describe(point));
            g.leaf("path", &[("d", shape(point.group))]);
        });
    }

    fn describe(&self, point: &Point) -> String {
        let (adapter, workload) = (&self.comparison.adapters[point.adapter], point.workload);
        let share = workload.share.map(|share| format!("\n{} of the roof", percent(share))).unwrap_or_default();
        let bound = workload.bound.map(|bound| format!(", bound by {bound}")).unwrap_or_default();
        format!(
            "{} {}\n{}: {}\n{}, {} GFLOP/s, {} GB/s, {} FLOP/byte{share}{bound}\n{}",
            point.row.number,
            workload.name,
            adapter.letter,
            adapter.label,
            si(workload.seconds.median, "s"),
            plain(workload.gflops),
            plain(workload.gbytes),
            plain(workload.intensity()),
            workload.kernels.join(", ")
        )
    }
}

impl Point<'_> {
    fn at(&self, x: Axis, y: Axis) -> [f64; 2] {
        [x.at(self.workload.intensity()), y.at(self.workload.gflops)]
    }
}

impl Roof {
    /// From where it enters the picture over its bend to the right.
    fn line(&self, x: Axis, y: Axis) -> Vec<[f64; 2]> {
        let ([left, right], [low, _]) = (x.range(), y.range());
        let start = left.max(low * 1e9 / self.slope);
        let at = |intensity: f64| [x.at(intensity), y.at(self.height.min(intensity * self.slope) * 1e-9)];
        [start, self.height / self.slope, right].map(at).to_vec()
    }
}

/// The smallest and the largest; a decade around 1 where there is none.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let all = values.fold([f64::INFINITY, 0.0f64], |[low, high], value| [low.min(value), high.max(value)]);
    if all[0] <= all[1] { all } else { [0.5, 5.0] }
}

fn label(g: &mut Markup, place: Option<Area>, text: &str) {
    let Some(place) = place else { return };
    let [x, y] = [place.middle()[0], place.y + place.h - 2.5].map(|v| format!("{v:.1}"));
    g.say("text", &[("x", &x), ("y", &y), ("text-anchor", "middle")], text);
}

fn grid(svg: &mut Markup, area: Area, x: Axis, y: Axis) {
    let pixel = |v: f64| format!("{v:.1}");
    let [left, right, top, bottom] = [area.x, area.x + area.w, area.y, area.y + area.h].map(pixel);
    svg.element("g", &[("class", "grid")], |g| {
        for tick in x.ticks() {
            let (at, class) = (pixel(tick.at), if tick.label.is_some() { "major" } else { "minor" });
            g.leaf("line", &[("class", class), ("x1", &at), ("y1", &top), ("x2", &at), ("y2", &bottom)]);
            if let Some(label) = tick.label {
                g.say("text", &[("x", &at), ("y", &pixel(area.y + area.h + 17.0)), ("text-anchor", "middle")], &label);
            }
        }
        for tick in y.ticks() {
            let (at, class) = (pixel(tick.at), if tick.label.is_some() { "major" } else { "minor" });
            g.leaf("line", &[("class", class), ("x1", &left), ("y1", &at), ("x2", &right), ("y2", &at)]);
            if let Some(label) = tick.label {
                g.say("text", &[("x", &pixel(area.x - 6.0)), ("y", &pixel(tick.at + 4.0)), ("text-anchor", "end")], &label);
            }
        }
        g.say("text", &[("x", "4"), ("y", "16")], "GFLOP/s");
        let below = pixel(area.y + area.h + 38.0);
        g.say("text", &[("x", &right), ("y", &below), ("text-anchor", "end")], "arithmetic intensity, FLOP/byte");
    });
}
