//! What tells adapters and groups apart: colours, which the style sheet holds, and shapes.

/// Adapters with a colour of their own; those after them begin again, and their letters tell.
pub const COLORS: usize = 6;

/// Outlines around the origin, about ten pixels wide; groups after them begin again.
const SHAPES: [&str; 8] = [
    "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z",
    "M-4.4-4.4H4.4V4.4H-4.4Z",
    "M0-5.8L5.6 4.2H-5.6Z",
    "M0-6.2L6.2 0L0 6.2L-6.2 0Z",
    "M0 5.8L5.6-4.2H-5.6Z",
    "M-1.9-5.6H1.9V-1.9H5.6V1.9H1.9V5.6H-1.9V1.9H-5.6V-1.9H-1.9Z",
    "M-5.6 0L-2.8-4.9H2.8L5.6 0L2.8 4.9H-2.8Z",
    "M-5.4-5.4L0-2.2L5.4-5.4L2.2 0L5.4 5.4L0 2.2L-5.4 5.4L-2.2 0Z",
];

/// The class that gives an adapter's colour.
pub fn color(adapter: usize) -> String {
    format!("a{}", adapter % COLORS)
}

/// The outline of a group's points.
pub fn shape(group: usize) -> &'static str {
    SHAPES[group % SHAPES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rgb = [f64; 3];

    /// How eyes without one kind of cone see a colour, in linear light (Machado, Oliveira and Fernandes, 2009).
    const EYES: [[Rgb; 3]; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ];

    /// Colours named `--NAME` in one half of the style sheet, in linear light.
    fn colors(half: &str, name: &str) -> Vec<Rgb> {
        let channel = |text: &str| (f64::from(u8::from_str_radix(text, 16).unwrap()) / 255.0).powf(2.2);
        let name = format!("--{name}");
        let hex = half.split(&*name).skip(1).map(|rest| rest.split('#').nth(1).unwrap());
        hex.map(|hex| [&hex[0..2], &hex[2..4], &hex[4..6]].map(channel)).collect()
    }

    fn luminance([r, g, b]: Rgb) -> f64 {
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    fn lab(rgb: Rgb) -> Rgb {
        let dot = |row: Rgb, v: Rgb| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>().max(0.0);
        let xyz = [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1098, 0.8730]].map(|row| dot(row, rgb).cbrt());
        [116.0 * xyz[1] - 16.0, 500.0 * (xyz[0] - xyz[1]), 200.0 * (xyz[1] - xyz[2])]
    }

    #[test]
    fn colors_can_be_read_and_told_apart() {
        let sheet = include_str!("style.css");
        let (light, dark) = sheet.split_once("prefers-color-scheme").unwrap();
        for half in [light, dark.split_once("}").unwrap().0] {
            let ground = luminance(colors(half, "ground")[0]);
            let colors = colors(half, "a");
            assert_eq!(colors.len(), COLORS);
            for (i, color) in colors.iter().enumerate() {
                let (low, high) = (ground.min(luminance(*color)), ground.max(luminance(*color)));
                assert!((high + 0.05) / (low + 0.05) >= 4.5, "colour {i} on the ground");
                for (j, other) in colors.iter().enumerate().take(i) {
                    for (eye, rows) in EYES.iter().enumerate() {
                        let seen = |c: &Rgb| lab(rows.map(|row| row.iter().zip(c).map(|(a, b)| a * b).sum()));
                        let apart = seen(color).iter().zip(seen(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(apart > 15.0, "colours {i} and {j} to eye {eye}: {apart}");
                    }
                }
            }
        }
    }
}
