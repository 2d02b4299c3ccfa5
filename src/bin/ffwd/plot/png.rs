//! A picture as PNG: thick lines with smooth edges, by their distance from each pixel.

use super::font;
use super::scene::{Anchor, Color, Item, Point, Scene, distance};
use crate::error::CliError;

/// Pixels in a unit of the picture.
const SCALE: f64 = 2.0;

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

/// The picture as a file's bytes.
pub fn render(scene: &Scene) -> Result<Vec<u8>, CliError> {
    let [width, height] = scene.size.map(|side| (side * SCALE).ceil() as usize);
    let mut canvas = Canvas { width, height, pixels: vec![scene.ground.map(f32::from); width * height] };
    for item in &scene.items {
        match item {
            Item::Line { points, color, width, dash } => {
                for part in dash.map_or_else(|| vec![points.clone()], |dash| dashes(points, dash)) {
                    canvas.stroke(&part, *color, *width);
                }
            }
            Item::Text { at, text, size, color, anchor } => {
                let (lines, width) = font::lines(text, *size);
                let left = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => 0.5 * width,
                    Anchor::End => width,
                };
                for line in lines {
                    let line: Vec<Point> = line.into_iter().map(|[x, y]| [at[0] + x - left, at[1] + y]).collect();
                    canvas.stroke(&line, *color, size * font::STROKE);
                }
            }
            Item::Bar { from, to, color } => canvas.fill(*from, *to, *color),
            // A line of no length with round ends.
            Item::Dot { at, radius, color } => canvas.stroke(&[*at, *at], *color, 2.0 * radius),
        }
    }
    canvas.encode().map_err(|error| CliError::Message(format!("cannot encode the picture: {error}")))
}

impl Canvas {
    /// Draws a line with round ends and corners. Where it meets itself it covers once.
    fn stroke(&mut self, points: &[Point], color: Color, width: f64) {
        let points: Vec<Point> = points.iter().map(|point| point.map(|v| v * SCALE)).collect();
        let reach = 0.5 * width * SCALE + 0.5;
        let span = |k: usize, most: usize| {
            let values = points.iter().map(|point| point[k]);
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            ((low - reach).floor().max(0.0) as usize, ((high + reach).ceil().max(0.0) as usize).min(most))
        };
        let ((left, right), (top, bottom)) = (span(0, self.width), span(1, self.height));
        if left >= right || top >= bottom {
            return;
        }
        let mut covered = vec![0.0_f32; (right - left) * (bottom - top)];
        for pair in points.windows(2) {
            let [a, b] = [pair[0], pair[1]];
            let range = |k: usize, low: usize, high: usize| {
                let first = (a[k].min(b[k]) - reach).floor().max(low as f64) as usize;
                first..((a[k].max(b[k]) + reach).ceil() as usize).min(high)
            };
            for y in range(1, top, bottom) {
                for x in range(0, left, right) {
                    let cover = (reach - distance([x as f64 + 0.5, y as f64 + 0.5], a, b)).clamp(0.0, 1.0) as f32;
                    let place = &mut covered[(y - top) * (right - left) + x - left];
                    *place = place.max(cover);
                }
            }
        }
        for (i, cover) in covered.into_iter().enumerate().filter(|(_, cover)| *cover > 0.0) {
            self.paint(left + i % (right - left), top + i / (right - left), color, cover);
        }
    }

    /// Fills a rectangle; a pixel that it covers in part gets a part of the colour.
    fn fill(&mut self, from: Point, to: Point, color: Color) {
        let span = |k: usize, most: usize| {
            let (low, high) = (from[k].min(to[k]).max(0.0) * SCALE, (from[k].max(to[k]) * SCALE).min(most as f64));
            let cover = move |i: usize| (high.min(i as f64 + 1.0) - low.max(i as f64)) as f32;
            (low.floor() as usize..high.ceil() as usize).map(move |i| (i, cover(i)))
        };
        for (y, down) in span(1, self.height) {
            for (x, across) in span(0, self.width) {
                self.paint(x, y, color, across * down);
            }
        }
    }

    fn paint(&mut self, x: usize, y: usize, color: Color, cover: f32) {
        for (channel, ink) in self.pixels[y * self.width + x].iter_mut().zip(color) {
            *channel += (f32::from(ink) - *channel) * cover;
        }
    }

    fn encode(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        let pixels: Vec<u8> = self.pixels.iter().flatten().map(|channel| channel.round() as u8).collect();
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

/// The parts of a line that a pattern draws.
fn dashes(points: &[Point], [on, off]: [f64; 2]) -> Vec<Vec<Point>> {
    let mut parts = Vec::new();
    let (mut drawing, mut left) = (true, on);
    let mut part: Vec<Point> = points.iter().take(1).copied().collect();
    for pair in points.windows(2) {
        let (mut a, b) = (pair[0], pair[1]);
        let mut length = (b[0] - a[0]).hypot(b[1] - a[1]);
        while length > left {
            let t = left / length;
            a = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
            length -= left;
            part.push(a);
            if drawing {
                parts.push(std::mem::take(&mut part));
            }
            part = vec![a];
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length;
        part.push(b);
    }
    if drawing && part.len() > 1 {
        parts.push(part);
    }
    parts
}
