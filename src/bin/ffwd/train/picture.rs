//! A comparison as a picture: six panels, in which a network always has the same colour.

use ffwd::train::Evaluation;

use super::course::Course;
use super::panels::{self, Profile, Row, Track, fit};
use crate::plot::frame::{AXIS, FAINT_INK, FONT, GROUND, INK, PALETTE, significant};
use crate::plot::scene::{Anchor, Color, Item, Point, Scene};

const MARGIN: f64 = 16.0;
const TITLE: f64 = 22.0;
/// Height of the title's place.
const HEAD: f64 = 62.0;
/// Most points of a line of losses: about as many as there are pixels.
const POINTS: usize = 500;
const ALERT: Color = [0xc4, 0x30, 0x2b];

/// Draws what networks did. The losses of a `classification` are logarithms of perplexities.
pub fn draw(courses: &[Course], title: &str, classification: bool) -> Scene {
    let colors: Vec<Color> = PALETTE.into_iter().cycle().take(courses.len()).collect();
    let place = |column: u8, row: u8| [MARGIN + f64::from(column) * panels::WIDTH, HEAD + f64::from(row) * panels::HEIGHT];
    let size = [2.0 * MARGIN + 3.0 * panels::WIDTH, HEAD + 2.0 * panels::HEIGHT + MARGIN];
    let left = MARGIN + panels::LEFT;
    let heading = fit(title, TITLE, size[0] - 2.0 * left);
    let mut items = vec![Item::text([left, 40.0], heading, TITLE, INK, Anchor::Start)];

    let steps = courses.iter().map(|course| course.losses.len()).max().unwrap_or(0);
    let window = window(steps);
    let evaluated = courses.iter().flat_map(|course| &course.evaluations).map(|evaluation| evaluation.step);
    let steps = evaluated.fold(steps as f64, |steps, step| steps.max(f64::from(step)));
    let training = if window > 1 { format!("training loss (mean of {window} steps)") } else { "training loss".to_owned() };
    let tracks = |points: &dyn Fn(&Course) -> Vec<Point>| {
        let track = |(course, color): (&Course, &Color)| Track { color: *color, points: points(course), diverged: course.diverged() };
        courses.iter().zip(&colors).map(track).collect::<Vec<_>>()
    };
    items.extend(panels::over_steps(place(0, 0), &training, &tracks(&|course| smoothed(course.sound_losses(), window)), steps, false));
    let validation = tracks(&|course| course.sound_evaluations().iter().map(|e| [f64::from(e.step), e.loss]).collect());
    items.extend(panels::over_steps(place(1, 0), "validation loss", &validation, steps, classification));
    items.extend(legend(place(2, 0), courses, &colors));

    let profiles = |values: fn(&Evaluation) -> &Vec<f64>| {
        let last = |course: &Course| course.sound_evaluations().last().map(|last| values(last).clone()).unwrap_or_default();
        courses.iter().zip(&colors).map(|(course, color)| Profile { color: *color, values: last(course) }).collect::<Vec<_>>()
    };
    items.extend(panels::bars_by_block(place(0, 1), "dead units at the end, %", &profiles(|e| &e.dead)));
    items.extend(panels::dots_by_block(place(1, 1), "norm of the gradients at the end", &profiles(|e| &e.gradient_norms)));
    let rows: Vec<Row> =
        courses.iter().zip(&colors).map(|(course, color)| Row { color: *color, name: &course.name, value: course.step_ms }).collect();
    items.extend(panels::rows(place(2, 1), "time of a step, ms", &rows));
    let names = courses.iter().map(|course| course.name.as_str()).collect::<Vec<_>>().join(", ");
    Scene { size, title: format!("{title}: {names}"), ground: GROUND, items }
}

/// Over how many steps losses are averaged: about a hundredth of them, a round number.
fn window(steps: usize) -> usize {
    let power = 10_usize.pow((steps / 100).max(1).ilog10());
    [5, 2, 1].map(|m| m * power).into_iter().find(|window| *window <= steps / 100).unwrap_or(1)
}

/// Means of losses and those before them, at as many steps as a line needs.
fn smoothed(losses: &[f32], window: usize) -> Vec<Point> {
    let Some(last) = losses.len().checked_sub(1) else { return Vec::new() };
    let mean = |step: usize| {
        let part = &losses[(step + 1).saturating_sub(window)..=step];
        [step as f64, part.iter().map(|loss| f64::from(*loss)).sum::<f64>() / part.len() as f64]
    };
    let every = losses.len().div_ceil(POINTS);
    (0..last).step_by(every).chain([last]).map(mean).collect()
}

/// Which colour is which network: its parameters, and what it came to.
fn legend([left, top]: Point, courses: &[Course], colors: &[Color]) -> Vec<Item> {
    let (left, right, top) = (left + panels::ASIDE, left + panels::WIDTH - panels::RIGHT, top + 21.0);
    let names = left + 28.0;
    let counts = right - 130.0;
    let size = FONT - 1.0;
    let text = |x: f64, y: f64, text: String, color, anchor| Item::text([x, y], text, size, color, anchor);
    let mut items = vec![
        text(left, top, "network".to_owned(), FAINT_INK, Anchor::Start),
        text(counts, top, "parameters".to_owned(), FAINT_INK, Anchor::End),
    ];
    if courses.iter().any(|course| !course.evaluations.is_empty()) {
        items.push(text(right, top, "validation loss".to_owned(), FAINT_INK, Anchor::End));
    }
    items.push(Item::line([left, top + 10.0], [right, top + 10.0], AXIS, 1.0));
    let height = ((panels::HEIGHT - 60.0) / courses.len() as f64).min(26.0);
    for (i, (course, color)) in courses.iter().zip(colors).enumerate() {
        let y = top + 32.0 + i as f64 * height;
        items.push(Item::Bar { from: [left, y - 11.0], to: [left + 14.0, y + 2.0], color: *color });
        items.push(text(names, y, fit(&course.name, size, counts - 64.0 - names), INK, Anchor::Start));
        items.push(text(counts, y, count(course.parameters), INK, Anchor::End));
        if course.diverged() {
            items.push(text(right, y, "diverged".to_owned(), ALERT, Anchor::End));
        } else if let Some(last) = course.evaluations.last() {
            items.push(text(right, y, significant(last.loss, 4), INK, Anchor::End));
        }
    }
    items
}

/// A count in thousands, millions or more.
fn count(value: u64) -> String {
    let value = value as f64;
    match value {
        _ if value < 999.5 => format!("{value}"),
        _ if value < 999.5e3 => format!("{} k", significant(value / 1e3, 3)),
        _ if value < 999.5e6 => format!("{} M", significant(value / 1e6, 3)),
        _ => format!("{} G", significant(value / 1e9, 3)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plot::renderer;

    fn course(name: &str, steps: usize) -> Course {
        let speed = name.len() as f32;
        let loss = |step: usize| 1.5 + 3.0 * (-(step as f32) * speed / 300.0).exp() + 0.1 * (step as f32 * 1.7).sin();
        let evaluation = |step: usize| Evaluation {
            step: step as u32,
            loss: f64::from(loss(step)) + 0.1,
            dead: vec![0.0, 0.02, 0.3],
            gradient_norms: vec![0.3, 0.05, 1.2],
        };
        let evaluations = (0..=steps).step_by((steps / 5).max(1)).map(evaluation).collect();
        Course {
            name: name.to_owned(),
            parameters: 1_213_440,
            losses: (0..steps).map(loss).collect(),
            evaluations,
            step_ms: 12.34,
            failed: false,
        }
    }

    fn svg(courses: &[Course], classification: bool) -> String {
        let render = renderer(Path::new("p.svg")).unwrap();
        String::from_utf8(render(&draw(courses, "A comparison", classification)).unwrap()).unwrap()
    }

    #[test]
    fn everything_is_labelled() {
        let text = svg(&[course("swiglu", 2000), course("relu", 2000)], true);
        let labels =
            ["A comparison", "training loss (mean of 20 steps)", "validation loss", "perplexity", "swiglu", "relu", "1.21 M", "12.3"];
        for label in labels {
            assert!(text.contains(&format!(">{label}<")), "{label}");
        }
        assert!(["dead units", "gradients", "time of a step"].iter().all(|part| text.contains(part)));
        assert!(!text.contains("diverged") && !text.contains("not measured"));
        assert!(!svg(&[course("swiglu", 2000)], false).contains("perplexity"));
    }

    #[test]
    fn a_diverged_course_ends_where_it_did() {
        for broken in [f32::NAN, f32::INFINITY] {
            let mut lost = course("relu", 1000);
            lost.losses[400..].fill(broken);
            lost.evaluations[3..].iter_mut().for_each(|evaluation| evaluation.loss = broken.into());
            lost.evaluations[3..].iter_mut().for_each(|evaluation| evaluation.gradient_norms.fill(f64::NAN));
            let text = svg(&[course("swiglu", 1000), lost.clone()], true);
            assert_eq!(text.matches(">diverged<").count(), 1);
            assert!(!text.contains("NaN") && !text.contains("inf"));
            assert_eq!(smoothed(lost.sound_losses(), 10).last().map(|point| point[0]), Some(399.0));
        }
    }

    #[test]
    fn odd_courses_are_drawn() {
        let bare = Course { evaluations: Vec::new(), ..course("a", 100) };
        let lost = Course { losses: vec![f32::NAN], step_ms: f64::NAN, ..bare.clone() };
        let still = |name: &str| Course { losses: vec![0.0; 50], ..course(name, 50) };
        let mut exploded = course("a", 100);
        exploded.losses[50..].fill(f32::MAX);
        exploded.evaluations[3].loss = f64::MAX;
        exploded.evaluations[4].gradient_norms = vec![0.0, f64::INFINITY, 1e-300];
        let many: Vec<_> = (0..12).map(|i| course(&"a_long_name_of_a_network".repeat(i / 6 + 1), 1 + i)).collect();
        let cases = [vec![], vec![bare], vec![lost.clone()], vec![course("a", 1)], vec![still("a"), lost], vec![exploded.clone()], many];
        for courses in cases {
            let text = svg(&courses, true);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{courses:?}");
        }
        let png = renderer(Path::new("p.png")).unwrap();
        assert!(!png(&draw(&[exploded], "", false)).unwrap().is_empty());
    }

    #[test]
    fn the_png_is_twice_the_scene() {
        let scene = draw(&[course("swiglu", 300)], "A comparison", true);
        let bytes = renderer(Path::new("p.png")).unwrap()(&scene).unwrap();
        let image = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!([image.info().width, image.info().height].map(f64::from), scene.size.map(|side| 2.0 * side));
    }

    #[test]
    fn losses_are_averaged_over_round_numbers_of_steps() {
        assert_eq!([0, 1, 99, 100, 300, 700, 2000, 99_999].map(window), [1, 1, 1, 1, 2, 5, 20, 500]);
        assert_eq!(smoothed(&[4.0, 2.0, 0.0], 2), [[0.0, 4.0], [1.0, 3.0], [2.0, 1.0]]);
        assert!(smoothed(&vec![1.0; 100_001], 500).len() <= POINTS + 1);
    }

    #[test]
    fn counts_have_three_digits() {
        assert_eq!(
            [0, 999, 1000, 421_300, 999_999, 1_213_440, 7_240_000_000].map(count),
            ["0", "999", "1.00 k", "421 k", "1.00 M", "1.21 M", "7.24 G"]
        );
    }
}
