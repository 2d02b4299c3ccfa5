//! The panels of the picture: each draws one quantity of all networks into a place of its own.

use crate::plot::font;
use crate::plot::frame::{AXIS, FAINT_INK, FONT, Frame, GROUND, INK, Tick, decades, log_ticks, significant, ticks};
use crate::plot::scene::{Anchor, Color, Item, Point};

/// Width of a panel with its labels.
pub const WIDTH: f64 = 400.0;
/// Height of a panel with its title and labels.
pub const HEIGHT: f64 = 360.0;

/// Left of a frame.
pub const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 58.0;
/// Right of a frame; a second axis needs more.
pub const RIGHT: f64 = 14.0;
const RIGHT_AXIS: f64 = 62.0;

/// Where panels without a frame begin.
pub const ASIDE: f64 = 42.0;
/// Most ticks of a vertical axis.
const TICKS: f64 = 11.0;

const LINE: f64 = 2.0;
const DOT: f64 = 3.2;
/// Lines of so many points show them.
const FEW: usize = 40;
/// Part of the steps in which losses fall so far that the rest would be flat beside them: the axis begins after it.
const FALL: f64 = 0.05;
/// From this ratio of the largest to the smallest loss on, their axis is logarithmic.
const WIDE: f64 = 20.0;
/// Part of a block's place that its marks fill, and the most that one mark gets.
const FILLED: f64 = 0.82;
const PITCH: f64 = 30.0;

/// A network's line over steps.
#[derive(Debug)]
pub struct Track {
    /// Its colour.
    pub color: Color,
    /// Steps and values.
    pub points: Vec<Point>,
    /// Whether the line ends early, because what follows is not finite.
    pub diverged: bool,
}

/// A network's values, one for each block.
#[derive(Debug)]
pub struct Profile {
    /// Its colour.
    pub color: Color,
    /// The values.
    pub values: Vec<f64>,
}

/// A network's row.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its colour.
    pub color: Color,
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
}

/// Room for a text, with some to spare: the fonts that show an SVG may be wider.
fn extent(text: &str, size: f64) -> f64 {
    1.1 * font::lines(text, size).1
}

/// As much of a text as fits.
pub fn fit(text: &str, size: f64, width: f64) -> String {
    if extent(text, size) <= width {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |end: usize| letters[..end].iter().collect::<String>().trim_end().to_owned() + "\u{2026}";
    (0..letters.len()).rev().map(cut).find(|text| extent(text, size) <= width).unwrap_or_default()
}

fn frame([left, top]: Point, right: f64, x: (f64, f64), y: (f64, f64)) -> Frame {
    Frame { left: left + LEFT, top: top + TOP, right: left + WIDTH - right, bottom: top + HEIGHT - BOTTOM, x, y }
}

/// A title above a frame, and the name of what is along its lower edge.
fn names(frame: &Frame, title: &str, along: &str) -> [Item; 2] {
    let middle = 0.5 * (frame.left + frame.right);
    [
        Item::text([frame.left, frame.top - 13.0], title, FONT, INK, Anchor::Start),
        Item::text([middle, frame.bottom + 44.0], along, FONT - 1.0, FAINT_INK, Anchor::Middle),
    ]
}

/// A frame without anything in it.
fn empty(place: Point, title: &str) -> Vec<Item> {
    let frame = frame(place, RIGHT, (0.0, 1.0), (0.0, 1.0));
    let middle = [0.5 * (frame.left + frame.right), 0.5 * (frame.top + frame.bottom)];
    let [title, _] = names(&frame, title, "");
    vec![frame.border(), title, Item::text(middle, "not measured", FONT, FAINT_INK, Anchor::Middle)]
}

/// Lines over steps. With `perplexity`, the axis at the right has the exponentials of the losses.
pub fn over_steps(place: Point, title: &str, tracks: &[Track], steps: f64, perplexity: bool) -> Vec<Item> {
    let Some((low, high)) = heights(tracks, steps) else { return empty(place, title) };
    let logarithmic = low > 0.0 && high > WIDE * low;
    let axis = |value: f64| if logarithmic { value.log10() } else { value };
    let y = if logarithmic { decades((low, high)) } else { margins((low, high)) };
    let up = if logarithmic { log_ticks(y, TICKS) } else { ticks(y, 0.75 * TICKS) };
    let x = (0.0, steps.max(1.0));
    let frame = frame(place, if perplexity { RIGHT_AXIS } else { RIGHT }, x, y);
    let mut items = frame.grid(&ticks(x, x.1.min(5.0)), &up);
    if perplexity {
        items.extend(second_axis(&frame, &up, |tick| if logarithmic { 10_f64.powf(tick).exp() } else { tick.exp() }));
    }
    items.push(frame.border());
    let mut ends = Vec::new();
    // The first network lies on top.
    for Track { color, points, diverged } in tracks.iter().rev() {
        let color = *color;
        let points: Vec<Point> = points.iter().map(|[step, value]| frame.point(*step, axis(*value))).collect();
        let lines = frame.lines(&points, |_| false);
        items.extend(lines.into_iter().map(|points| Item::Line { points, color, width: LINE, dash: None }));
        let seen = |point: &&Point| (frame.top..=frame.bottom).contains(&point[1]);
        let marked = if points.len() <= FEW { &points[..] } else { &[] };
        items.extend(marked.iter().filter(seen).map(|at| Item::Dot { at: *at, radius: DOT, color }));
        if let (true, Some(&[x, y])) = (diverged, points.last()) {
            ends.extend(cross([x, y.clamp(frame.top, frame.bottom)], color));
        }
    }
    items.extend(ends);
    items.extend(names(&frame, title, "step"));
    items
}

/// The losses that an axis has to show: all after the first fall, but none far above where networks begin or end, which
/// only those that diverge reach.
fn heights(tracks: &[Track], steps: f64) -> Option<(f64, f64)> {
    let sound = tracks.iter().any(|track| !track.diverged && !track.points.is_empty());
    let lines = tracks.iter().filter(|track| !(sound && track.diverged)).map(|track| &track.points[..]);
    let settled = |points: &[Point]| {
        let after = points.iter().filter(|point| point[0] >= FALL * steps).map(|point| point[1]);
        after.reduce(f64::max).or(points.last().map(|point| point[1]))
    };
    let ends = tracks.iter().flat_map(|track| track.points.first().into_iter().chain(track.points.last().filter(|_| !track.diverged)));
    let ends = ends.map(|point| point[1]).reduce(f64::max)?;
    let high = lines.filter_map(settled).reduce(f64::max)?.min(ends);
    let low = tracks.iter().flat_map(|track| &track.points).map(|point| point[1]).reduce(f64::min)?;
    Some((low.min(high), high))
}

/// A little more than a range.
fn margins((low, high): (f64, f64)) -> (f64, f64) {
    let margin = (0.04 * (high - low)).max(0.01 * high.abs()).max(1e-6);
    (if low >= 0.0 { (low - margin).max(0.0) } else { low - margin }, high + margin)
}

/// An axis of perplexities at the right, where the ticks of the losses are.
fn second_axis(frame: &Frame, up: &[Tick], perplexity: impl Fn(f64) -> f64) -> Vec<Item> {
    let labels = |digits: usize| up.iter().map(|(tick, _)| significant(perplexity(*tick), digits)).collect::<Vec<_>>();
    // As many digits as tell one from the next.
    let distinct = |labels: &Vec<String>| labels.windows(2).all(|pair| pair[0] != pair[1]);
    let labels = (3..6).map(labels).find(distinct).unwrap_or_else(|| labels(6));
    let label = |((tick, _), label): (&Tick, String)| {
        let [_, at] = frame.point(frame.x.0, *tick);
        let text = Item::text([frame.right + 11.0, at + 0.33 * FONT], label, FONT - 1.0, FAINT_INK, Anchor::Start);
        [Item::line([frame.right, at], [frame.right + 5.0, at], AXIS, 1.0), text]
    };
    let name = Item::text([frame.right + RIGHT_AXIS - RIGHT, frame.top - 13.0], "perplexity", FONT - 1.0, FAINT_INK, Anchor::End);
    up.iter().zip(labels).flat_map(label).chain([name]).collect()
}

/// Where a line ended because its network diverged.
fn cross([x, y]: Point, color: Color) -> Vec<Item> {
    let arm = |sign: f64, color, width| Item::line([x - 5.0, y - sign * 5.0], [x + 5.0, y + sign * 5.0], color, width);
    // Other lines keep their distance.
    [(GROUND, 6.0), (color, 2.6)].into_iter().flat_map(|(color, width)| [1.0, -1.0].map(|sign| arm(sign, color, width))).collect()
}

/// How many blocks there are values of; none where no value is finite.
fn blocks(profiles: &[Profile]) -> usize {
    profiles.iter().filter(|profile| profile.values.iter().any(|v| v.is_finite())).map(|profile| profile.values.len()).max().unwrap_or(0)
}

/// Blocks from the first on, side by side.
fn columns(blocks: usize) -> ((f64, f64), Vec<Tick>) {
    let every = blocks.div_ceil(12).max(1);
    ((0.5, blocks as f64 + 0.5), (1..=blocks).step_by(every).map(|block| (block as f64, block.to_string())).collect())
}

/// The distance between the marks of two networks in a block.
fn pitch(frame: &Frame, networks: usize) -> f64 {
    (FILLED * (frame.right - frame.left) / (frame.x.1 - frame.x.0) / networks as f64).min(PITCH)
}

/// Where the mark of a network stands in a block.
fn stand(frame: &Frame, networks: usize, network: usize, block: usize) -> f64 {
    let [middle, _] = frame.point(block as f64 + 1.0, frame.y.0);
    middle + (network as f64 - 0.5 * (networks as f64 - 1.0)) * pitch(frame, networks)
}

/// Shares as bars in percent: for each block one of each network.
pub fn bars_by_block(place: Point, title: &str, profiles: &[Profile]) -> Vec<Item> {
    let blocks = blocks(profiles);
    if blocks == 0 {
        return empty(place, title);
    }
    let shares = || profiles.iter().flat_map(|profile| &profile.values).filter(|share| share.is_finite());
    let top = (110.0 * shares().copied().fold(0.0, f64::max)).clamp(5.0, 100.0);
    let (x, across) = columns(blocks);
    let frame = frame(place, RIGHT, x, (0.0, top));
    let mut items = frame.grid(&across, &ticks(frame.y, 0.75 * TICKS));
    items.push(frame.border());
    let thick = (0.82 * pitch(&frame, profiles.len())).max(1.0);
    for (network, Profile { color, values }) in profiles.iter().enumerate() {
        for (block, share) in values.iter().enumerate().filter(|(_, share)| share.is_finite()) {
            let left = stand(&frame, profiles.len(), network, block) - 0.5 * thick;
            // None is a bar too: a flat one.
            let height = frame.point(0.0, 100.0 * share.clamp(0.0, 1.0))[1].min(frame.bottom - 2.0);
            items.push(Item::Bar { from: [left, height], to: [left + thick, frame.bottom], color: *color });
        }
    }
    items.extend(names(&frame, title, "block"));
    items
}

/// Positive values as dots over a logarithmic axis, those of a network joined from block to block.
pub fn dots_by_block(place: Point, title: &str, profiles: &[Profile]) -> Vec<Item> {
    let blocks = blocks(profiles);
    let positive = |value: &f64| *value > 0.0 && value.is_finite();
    let values = || profiles.iter().flat_map(|profile| &profile.values).copied().filter(positive);
    let (Some(low), Some(high)) = (values().reduce(f64::min), values().reduce(f64::max)) else { return empty(place, title) };
    let (x, across) = columns(blocks);
    let frame = frame(place, RIGHT, x, decades((low, high)));
    let mut items = frame.grid(&across, &log_ticks(frame.y, TICKS));
    items.push(frame.border());
    for (network, Profile { color, values }) in profiles.iter().enumerate().rev() {
        let at = |(block, value): (usize, &f64)| [stand(&frame, profiles.len(), network, block), frame.point(0.0, value.log10())[1]];
        // The logarithm of what is not positive is not finite, and such points are not drawn.
        let points: Vec<Point> = values.iter().enumerate().map(at).collect();
        let lines = frame.lines(&points, |_| false);
        items.extend(lines.into_iter().map(|points| Item::Line { points, color: *color, width: 1.2, dash: None }));
        let dots = points.into_iter().zip(values).filter(|(_, value)| positive(value));
        items.extend(dots.map(|(at, _)| Item::Dot { at, radius: DOT + 0.6, color: *color }));
    }
    items.extend(names(&frame, title, "block"));
    items
}

/// Bars from left to right with names and numbers.
pub fn rows(place: Point, title: &str, rows: &[Row]) -> Vec<Item> {
    let mut frame = frame(place, RIGHT, (0.0, 1.0), (0.0, 1.0));
    frame.left = place[0] + ASIDE;
    let [heading, _] = names(&frame, title, "");
    let mut items = vec![heading];
    let size = FONT - 1.0;
    let names: Vec<String> = rows.iter().map(|row| fit(row.name, size, 140.0)).collect();
    let finite = |value: f64| (value.is_finite() && value >= 0.0).then_some(value);
    let longest = rows.iter().filter_map(|row| finite(row.value)).fold(0.0, f64::max);
    // Beside the bars there is room for the names and for the number of the longest.
    frame.x.1 = longest.max(f64::MIN_POSITIVE);
    let left = frame.left;
    frame.left += names.iter().map(|name| extent(name, size)).fold(0.0, f64::max) + 8.0;
    frame.right -= 62.0;
    let height = ((frame.bottom - frame.top) / rows.len() as f64).min(34.0);
    for ((i, row), name) in rows.iter().enumerate().zip(names) {
        let middle = frame.top + (i as f64 + 0.5) * height;
        let text = |x: f64, text: String, color, anchor| Item::text([x, middle + 0.33 * size], text, size, color, anchor);
        let value = finite(row.value);
        let end = frame.point(value.unwrap_or(0.0), 0.0)[0].max(frame.left + 2.0);
        let half = 0.33 * height;
        items.push(text(left, name, INK, Anchor::Start));
        items.push(Item::Bar { from: [frame.left, middle - half], to: [end, middle + half], color: row.color });
        let number = value.map_or_else(|| "not measured".to_owned(), |value| significant(value, 3));
        items.push(text(end + 9.0, number, INK, Anchor::Start));
    }
    items
}
