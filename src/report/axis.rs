//! A logarithmic axis: where values stand, and which of them get ticks.

use super::numbers::times_power_of_ten;

/// Least distance between two labels of an axis, in pixels.
const APART: f64 = 46.0;

/// An axis from one value to another, over pixels.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// A value with a grid line, and a label if there is room for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Its pixel.
    pub at: f64,
    /// The value as text.
    pub label: Option<String>,
}

impl Axis {
    /// Values from `low` to `high`, both positive and different, over pixels `from` to `to`.
    pub fn new([low, high]: [f64; 2], [from, to]: [f64; 2]) -> Self {
        Self { low: low.log10(), high: high.log10(), from, to }
    }

    /// The smallest and the largest value.
    pub fn range(&self) -> [f64; 2] {
        [10f64.powf(self.low), 10f64.powf(self.high)]
    }

    /// The pixel of a positive value.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) * self.decade()
    }

    /// Powers of ten, and where these are few the numbers between them.
    pub fn ticks(&self) -> Vec<Tick> {
        let decade = self.decade().abs();
        let every = (APART / decade).ceil().max(1.0) as i32;
        let between: &[i32] = if decade < 60.0 { &[] } else { &[2, 3, 4, 5, 6, 7, 8, 9] };
        let labelled: &[i32] = if decade > 5.0 * APART { &[2, 5] } else { &[] };
        let mut ticks = Vec::new();
        for exponent in self.low.floor() as i32..=self.high.floor() as i32 {
            let power = 10f64.powi(exponent);
            ticks.push((power, (exponent.rem_euclid(every) == 0).then(|| times_power_of_ten(1, exponent))));
            let label = |n: &i32| labelled.contains(n).then(|| times_power_of_ten(*n, exponent));
            ticks.extend(between.iter().map(|n| (f64::from(*n) * power, label(n))));
        }
        let inside = |value: f64| (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10());
        ticks.into_iter().filter(|(value, _)| inside(*value)).map(|(value, label)| Tick { at: self.at(value), label }).collect()
    }

    /// Pixels of a factor of ten.
    fn decade(&self) -> f64 {
        (self.to - self.from) / (self.high - self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: [f64; 2]) -> Vec<String> {
        Axis::new(range, [0.0, 500.0]).ticks().into_iter().filter_map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_apart() {
        assert_eq!(labels([0.05, 2e3]), ["0.1", "1", "10", "100", "1000"]);
        assert_eq!(labels([1.5, 30.0]), ["2", "5", "10", "20"]);
        assert_eq!(labels([1e-9, 1e9]).len(), 9);
        for range in [[0.05, 2e3], [1.5, 30.0], [1e-9, 1e9]] {
            let ticks = Axis::new(range, [0.0, 500.0]).ticks();
            let places: Vec<f64> = ticks.iter().filter(|tick| tick.label.is_some()).map(|tick| tick.at).collect();
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= APART), "{places:?}");
            assert!(ticks.iter().all(|tick| (-1e-6..=500.001).contains(&tick.at)));
        }
    }

    #[test]
    fn a_decade_is_a_decade() {
        let axis = Axis::new([0.1, 1000.0], [400.0, 0.0]);
        assert!((axis.at(1.0) - 300.0).abs() < 1e-9 && (axis.at(100.0) - 100.0).abs() < 1e-9);
    }
}
