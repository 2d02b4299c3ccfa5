//! Which kernel computes a product: what there is to choose from, what is chosen unmeasured, and what was measured before.

mod cache;
mod shipped;

pub use cache::{Cache, Choice};
pub use shipped::shipped;

use std::fmt;
use std::str::FromStr;

use crate::element::Element;
use crate::names::UnknownName;
use crate::quantised::WeightKind;
use crate::shader::matmul::{Capabilities, Loop, Tile};

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strategy {
    /// The loop of its kernels.
    pub looping: Loop,
    /// Slices of the depth that are summed apart and then added, by one more dispatch; 1 for none. More than one cannot
    /// be had of gate and up in one kernel.
    pub slices: u32,
    /// Whether gate and up are one kernel, or up comes first and the gate's product works on it in place. Of a single
    /// product it says nothing.
    pub fused: bool,
}

impl Strategy {
    /// Most slices of a depth.
    pub const MOST_SLICES: u32 = 16;

    /// This loop, fused and in one piece.
    pub const fn of(looping: Loop) -> Self {
        Self { looping, slices: 1, fused: true }
    }
}

/// The visible name, which [`Strategy::from_str`] reads back: `broadcast-16`, `direct-8/split-4`, `unfused/direct-8`.
impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.fused { "" } else { "unfused/" };
        write!(f, "{prefix}{}", self.looping)?;
        if self.slices > 1 { write!(f, "/split-{}", self.slices) } else { Ok(()) }
    }
}

impl FromStr for Strategy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let (fused, rest) = name.strip_prefix("unfused/").map_or((true, name), |rest| (false, rest));
        let (looping, slices) = match rest.split_once("/split-") {
            Some((looping, slices)) => (looping, slices.parse().ok().filter(|slices| (2..=Self::MOST_SLICES).contains(slices))),
            None => (rest, Some(1)),
        };
        let slices = slices.ok_or_else(|| UnknownName { what: "strategy", name: name.into(), nearest: Vec::new() })?;
        Ok(Self { looping: looping.parse()?, slices, fused })
    }
}

/// Who chooses the [`Strategy`] of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// The table that comes with the crate: no measurement, no file.
    Shipped,
    /// What was measured on this adapter before, else a measurement now, which is remembered.
    Measure,
    /// What was measured on this adapter before, else the table.
    #[default]
    Cached,
    /// The caller. What the device or the product does not allow is an error.
    Fixed(Strategy),
}

/// What a strategy is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Rows of the output: tokens.
    pub rows: usize,
    /// Columns of the output.
    pub cols: usize,
    /// What is summed over.
    pub depth: usize,
    /// Whether it is gate and up.
    pub gated: bool,
    /// Kind of a.
    pub a: Element,
    /// Kind of the weights.
    pub b: WeightKind,
    /// Kind of the output.
    pub out: Element,
    /// Whether a, and the weights, lie in memory with the depth as their first dimension.
    pub transposed: [bool; 2],
}

impl Problem {
    /// out = a w^T in f32.
    pub const fn new(rows: usize, cols: usize, depth: usize) -> Self {
        let f32 = Element::F32;
        Self { rows, cols, depth, gated: false, a: f32, b: WeightKind::Plain(f32), out: f32, transposed: [false; 2] }
    }

    /// The class that shares a choice: kinds as they are, sizes to within a half (rows up to 8 exactly), and whether rows
    /// are whole vectors.
    pub fn class(&self) -> String {
        let Self { a, b, out, .. } = self;
        let products = if self.gated { "gate_up" } else { "linear" };
        let [at, bt] = self.transposed.map(|transposed| if transposed { "t" } else { "" });
        let rows = if self.rows <= 8 { self.rows } else { bucket(self.rows) };
        let lanes = |n: usize| if n.is_multiple_of(4) { "" } else { "r" };
        let (cols, depth) = (bucket(self.cols), bucket(self.depth));
        format!("{products}/{a}{at}*{b}{bt}->{out}/{rows}x{cols}{}x{depth}{}", lanes(self.cols), lanes(self.depth))
    }

    /// Multiplications.
    pub fn macs(&self) -> u64 {
        let products = if self.gated { 2 } else { 1 };
        (self.rows as u64).saturating_mul(self.cols as u64).saturating_mul(self.depth as u64).saturating_mul(products)
    }

    /// Every strategy worth measuring on such a device, without those whose sizes are far from this product's.
    pub fn candidates(&self, capabilities: &Capabilities) -> Vec<Strategy> {
        let mut candidates = Vec::new();
        for looping in Loop::available(capabilities, self.gated).into_iter().filter(|looping| self.suits(*looping, self.gated)) {
            let whole = Strategy::of(looping);
            candidates.push(whole);
            // Grids that would leave most of a GPU idle, or that would only just fill it.
            let mut slices: Vec<_> = [64, 256].map(|workgroups| self.slices(looping, workgroups)).into();
            slices.dedup();
            slices.retain(|slices| *slices > 1 && !self.gated && !capabilities.software);
            candidates.extend(slices.into_iter().map(|slices| Strategy { slices, ..whole }));
        }
        // Up makes a trip through memory, without a rounding only in f32.
        if self.gated && self.out == Element::F32 {
            let loops = Loop::available(capabilities, false).into_iter().filter(|looping| self.suits(*looping, false));
            candidates.extend(loops.map(|looping| Strategy { fused: false, ..Strategy::of(looping) }));
        }
        candidates
    }

    fn suits(&self, looping: Loop, gated: bool) -> bool {
        let next = u32::try_from(self.rows.next_power_of_two()).unwrap_or(u32::MAX);
        // As many rows as there are, or half: more are wasted, fewer read the weights more often.
        let near = |rows: u32, most: u32| rows <= next && 2 * rows >= next.min(most);
        match looping {
            Loop::Direct(rows) => rows == 4 || self.rows > 4,
            Loop::Broadcast(rows) => near(rows, 32),
            Loop::Dot(rows, _) => self.rows <= 8 && near(rows, 8),
            // Two sums for each output of 8 x 8 are more than registers hold.
            Loop::Tiled(tile) => {
                self.rows > 4 && tile.rows <= 2 * next.max(16) && !(gated && tile.invocation_cols == 8) && (gated || tile != Tile::DUAL)
            }
            // What is not f16 would have to be rounded.
            Loop::Cooperative(_) => self.rows > 8 && self.a == Element::F16 && self.b == Element::F16.into(),
            Loop::Sum => false,
        }
    }

    /// Slices with which a loop has so many workgroups, 1 where it has them anyway or where the depth is short.
    pub(crate) fn slices(&self, looping: Loop, workgroups: u64) -> u32 {
        let [rows, cols] = looping.side(self.gated);
        let have = (self.rows as u64).div_ceil(rows).saturating_mul((self.cols as u64).div_ceil(cols)).max(1);
        let wanted = (workgroups / have).min(self.depth as u64 / 256).min(u64::from(Strategy::MOST_SLICES));
        // Powers of two: there is little between them, and a name for each would be one more kernel to measure.
        if wanted < 2 { 1 } else { 1 << wanted.ilog2() }
    }
}

/// n rounded up to a power of two or to one and a half.
fn bucket(n: usize) -> usize {
    let power = n.next_power_of_two();
    if n <= power / 4 * 3 { power / 4 * 3 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: Capabilities = Capabilities {
        software: false,
        workgroup_bytes: 16384,
        invocations: 256,
        wide: false,
        subgroup: Some((32, 32)),
        cooperative: None,
    };
    const SOFTWARE: Capabilities =
        Capabilities { software: true, workgroup_bytes: 32768, invocations: 1024, wide: true, subgroup: Some((8, 8)), cooperative: None };

    fn problems() -> impl Iterator<Item = Problem> {
        [1, 2, 3, 4, 7, 8, 9, 16, 100, 512].into_iter().flat_map(|rows| {
            let sizes = [(1536, 576), (576, 1536), (3, 5), (1, 100_000)];
            sizes.into_iter().flat_map(move |(cols, depth)| [false, true].map(|gated| Problem { gated, ..Problem::new(rows, cols, depth) }))
        })
    }

    #[test]
    fn names_are_read_back() {
        for strategy in problems().flat_map(|problem| problem.candidates(&GPU)) {
            assert_eq!(strategy.to_string().parse::<Strategy>().unwrap(), strategy);
        }
        for wrong in ["direct-8/split-1", "direct-8/split-99", "split-2", "unfused/", "sum"] {
            assert!(wrong.parse::<Strategy>().is_err(), "{wrong}");
        }
    }

    /// Everybody's choice is one that the device can run.
    #[test]
    fn what_is_shipped_is_a_candidate() {
        let plain = Capabilities { subgroup: None, ..GPU };
        for capabilities in
            [GPU, SOFTWARE, plain, Capabilities { subgroup: None, ..SOFTWARE }, Capabilities { subgroup: Some((4, 64)), ..GPU }]
        {
            for problem in problems() {
                let candidates = problem.candidates(&capabilities);
                let chosen = shipped(&capabilities, &problem);
                assert!(candidates.contains(&chosen), "{chosen} for {problem:?} on {capabilities:?}");
                assert!(candidates.len() < 32, "{} candidates for {problem:?}", candidates.len());
            }
        }
    }

    #[test]
    fn classes_are_near() {
        for n in 1..5000 {
            let class = bucket(n);
            assert!(class >= n && class * 2 <= 3 * n.max(2), "{n} in {class}");
        }
        assert_ne!(Problem::new(1, 64, 64).class(), Problem::new(2, 64, 64).class());
        assert_ne!(Problem::new(1, 64, 64).class(), Problem::new(1, 63, 64).class());
        assert_ne!(Problem::new(1, 64, 64).class(), Problem { b: Element::F16.into(), ..Problem::new(1, 64, 64) }.class());
        assert_eq!(Problem::new(500, 1536, 576).class(), Problem::new(512, 1500, 600).class());
    }
}
