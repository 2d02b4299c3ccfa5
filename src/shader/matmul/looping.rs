//! The loops of a product: how work is cut among workgroups and invocations.

use std::fmt;
use std::str::FromStr;

use crate::names::UnknownName;

/// What a device offers to matrix kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Whether it computes on the CPU.
    pub software: bool,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Most invocations in a workgroup.
    pub invocations: u32,
    /// Whether kernels may load words of 64 bits, and gain by it: on the CPU, where lanes load one after the other.
    pub wide: bool,
    /// Least and most lanes of a subgroup, where kernels may use subgroups.
    pub subgroup: Option<(u32, u32)>,
    /// Cooperative matrices of f16 with f32 sums, where kernels may use them.
    pub cooperative: Option<Matrices>,
}

/// Cooperative matrices of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Matrices {
    /// Rows, columns and depth of the largest that it multiplies: 8 or 16.
    pub tile: u32,
    /// Most lanes of a subgroup.
    pub lanes: u32,
}

/// A loop on cooperative matrices: f16 operands, f32 sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cooperative {
    /// Rows, columns and depth of a matrix: 8 or 16.
    pub tile: u32,
    /// Steps of four along the depth that are staged at a time.
    pub steps: u32,
    /// Most lanes of a subgroup.
    pub lanes: u32,
    /// Whether subgroups may be asked for their number; else they are taken to be so many lanes side by side.
    pub builtins: bool,
}

impl Cooperative {
    /// A workgroup is four subgroups, or as many as fit.
    pub(super) const fn invocations(self) -> u32 {
        if 4 * self.lanes > 256 { 256 } else { 4 * self.lanes }
    }

    /// Matrices down and across of one subgroup's block; two products have two sums for each.
    pub(super) const fn block(self, gated: bool) -> [u32; 2] {
        if gated { [2, 2] } else { [4, 2] }
    }
}

/// A loop that stages both operands in workgroup memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the output that one workgroup computes.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Rows of one invocation.
    pub invocation_rows: u32,
    /// Columns of one invocation.
    pub invocation_cols: u32,
    /// Steps of four along the depth that are staged at a time.
    pub steps: u32,
    /// How many times they are staged; two spare a barrier.
    pub buffers: u32,
}

impl Tile {
    /// 64 invocations of 4 x 4: what every device has registers for.
    pub const SMALL: Self = Self { rows: 32, cols: 32, invocation_rows: 4, invocation_cols: 4, steps: 4, buffers: 1 };
    /// The same, staged twice.
    pub const SMALL_TWICE: Self = Self { buffers: 2, ..Self::SMALL };
    /// 256 invocations of 4 x 4.
    pub const WIDE: Self = Self { rows: 64, cols: 64, invocation_rows: 4, invocation_cols: 4, steps: 4, buffers: 1 };
    /// 64 invocations of 8 x 8.
    pub const DEEP: Self = Self { rows: 64, cols: 64, invocation_rows: 8, invocation_cols: 8, steps: 4, buffers: 1 };
    /// 256 invocations of 8 x 8.
    pub const LARGE: Self = Self { rows: 128, cols: 128, invocation_rows: 8, invocation_cols: 8, steps: 2, buffers: 1 };
    /// 128 invocations of 8 x 4, for two products at once.
    pub const DUAL: Self = Self { rows: 64, cols: 64, invocation_rows: 8, invocation_cols: 4, steps: 4, buffers: 1 };
    /// Every tile.
    pub const ALL: [Self; 6] = [Self::SMALL, Self::SMALL_TWICE, Self::WIDE, Self::DEEP, Self::LARGE, Self::DUAL];

    /// Invocations of a workgroup.
    pub const fn invocations(self) -> u32 {
        self.group_rows() * self.group_cols()
    }

    pub(super) const fn group_rows(self) -> u32 {
        self.rows / self.invocation_rows
    }

    pub(super) const fn group_cols(self) -> u32 {
        self.cols / self.invocation_cols
    }

    /// Vectors of a and of b that are staged at a time; steps are one vector apart, so that they lie in different banks.
    pub(super) const fn slots(self) -> (u32, u32) {
        (self.steps * (self.rows + 1), self.steps * (self.cols + 1))
    }
}

/// How a workgroup adds the sums of its invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Total {
    /// Through workgroup memory; 64 invocations.
    Tree,
    /// By a subgroup's sum; a workgroup is one subgroup of so many lanes.
    Subgroup(u32),
}

/// The loop that a matrix kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loop {
    /// From storage to registers; no workgroup memory. So many rows and 4 columns an invocation.
    Direct(u32),
    /// Rows passed round a subgroup. So many rows a workgroup, 4 columns an invocation.
    Broadcast(u32),
    /// For a few rows: invocations share the depth of so many rows and 4 columns.
    Dot(u32, Total),
    /// Staged in workgroup memory.
    Tiled(Tile),
    /// On cooperative matrices; both operands must be f16.
    Cooperative(Cooperative),
    /// Not a product: adds the slices of a split depth.
    Sum,
}

impl Loop {
    /// Columns that are stored as one vector.
    pub(crate) const COLS: u32 = 4;

    /// Every loop that a device runs; `gated` ones keep two sums an output.
    pub fn available(capabilities: &Capabilities, gated: bool) -> Vec<Self> {
        let subgroup = capabilities.subgroup.filter(|(least, most)| least == most).map(|(least, _)| least);
        let mut loops = vec![Self::Direct(4), Self::Direct(8)];
        loops.extend([1, 2, 4, 8, 16, 32].map(Self::Broadcast));
        for rows in [1, 2, 4, 8] {
            loops.push(Self::Dot(rows, Total::Tree));
            loops.extend(subgroup.map(|width| Self::Dot(rows, Total::Subgroup(width))));
        }
        loops.extend(Tile::ALL.map(Self::Tiled));
        if let Some(Matrices { tile, lanes }) = capabilities.cooperative {
            let builtins = capabilities.subgroup.is_some();
            loops.extend([4, 8].map(|steps| Self::Cooperative(Cooperative { tile, steps, lanes, builtins })));
        }
        loops.retain(|looping| looping.missing(capabilities, gated).is_none());
        loops
    }

    /// Every loop of any device: 8, 16, 32 and 64 lanes are what there is, and matrices of 8 and 16.
    fn every() -> impl Iterator<Item = Self> {
        [8, 16, 32, 64].into_iter().flat_map(|lanes| {
            let devices = [(8, true), (8, false), (16, true), (16, false)].map(|(tile, subgroups)| Capabilities {
                software: false,
                workgroup_bytes: u32::MAX,
                invocations: u32::MAX,
                wide: false,
                subgroup: subgroups.then_some((lanes, lanes)),
                cooperative: Some(Matrices { tile, lanes }),
            });
            devices.into_iter().flat_map(|device| Self::available(&device, false))
        })
    }

    /// Whether there are kernels with this loop; other sizes are just numbers, and [`Loop::Sum`] is no product.
    pub(crate) fn exists(self) -> bool {
        let subgroup = matches!(self, Self::Dot(1 | 2 | 4 | 8, Total::Subgroup(1..)));
        subgroup || Self::every().any(|looping| looping == self)
    }

    /// What a device lacks for this loop: its name, how much is needed, how much there is.
    pub fn missing(self, capabilities: &Capabilities, gated: bool) -> Option<(&'static str, u64, u64)> {
        let lack = |what, required: u32, allowed: u32| (required > allowed).then_some((what, u64::from(required), u64::from(allowed)));
        let (least, most) = capabilities.subgroup.unwrap_or((0, 0));
        let lanes = match self {
            Self::Broadcast(_) => lack("lanes of a subgroup", 8, least),
            Self::Dot(_, Total::Subgroup(width)) if least != width || most != width => {
                Some(("lanes of a subgroup", width.into(), least.into()))
            }
            Self::Cooperative(wanted) => {
                let have = capabilities.cooperative.filter(|have| have.tile == wanted.tile && have.lanes == wanted.lanes);
                let builtins = !wanted.builtins || capabilities.subgroup.is_some();
                (have.is_none() || !builtins).then(|| ("rows of a cooperative matrix", wanted.tile.into(), 0))
            }
            _ => None,
        };
        lanes
            .or_else(|| lack("invocations of a workgroup", self.invocations(), capabilities.invocations))
            .or_else(|| lack("bytes of workgroup memory", self.workgroup_bytes(gated), capabilities.workgroup_bytes))
    }

    /// Rows and columns of the output that one workgroup computes; `gated` ones keep two sums an output.
    pub const fn side(self, gated: bool) -> [u64; 2] {
        let (rows, cols) = match self {
            Self::Direct(rows) => (8 * rows, 32),
            Self::Broadcast(rows) => (rows, 64),
            Self::Dot(rows, _) => (rows, 4),
            Self::Tiled(tile) => (tile.rows, tile.cols),
            Self::Cooperative(cooperative) => {
                let [rows, cols] = cooperative.block(gated);
                (2 * rows * cooperative.tile, 2 * cols * cooperative.tile)
            }
            Self::Sum => (1, 256),
        };
        [rows as u64, cols as u64]
    }

    /// Rows and columns of one invocation.
    pub(super) const fn invocation(self) -> [u32; 2] {
        match self {
            Self::Direct(rows) | Self::Broadcast(rows) | Self::Dot(rows, _) => [rows, Self::COLS],
            Self::Tiled(tile) => [tile.invocation_rows, tile.invocation_cols],
            Self::Cooperative(_) | Self::Sum => [1, Self::COLS],
        }
    }

    const fn invocations(self) -> u32 {
        match self {
            Self::Direct(_) | Self::Dot(_, Total::Tree) | Self::Sum => 64,
            Self::Broadcast(_) => 16,
            Self::Dot(_, Total::Subgroup(width)) => width,
            Self::Tiled(tile) => tile.invocations(),
            Self::Cooperative(cooperative) => cooperative.invocations(),
        }
    }

    /// Bytes of workgroup memory; `gated` ones keep two sums an output.
    pub const fn workgroup_bytes(self, gated: bool) -> u32 {
        let products = if gated { 2 } else { 1 };
        match self {
            Self::Dot(rows, Total::Tree) => 64 * rows * Self::COLS * 4 * products,
            Self::Tiled(tile) => {
                let (a, b) = tile.slots();
                16 * tile.buffers * (a + b * products)
            }
            Self::Cooperative(cooperative) => {
                let [rows, cols] = self.side(gated);
                let lines = rows as u32 + products * cols as u32;
                lines * (4 * cooperative.steps + 8) * 2 + products * 4 * cooperative.tile * cooperative.tile * 4
            }
            _ => 0,
        }
    }

    /// Whether a step along the depth is a whole block of quantised weights: where rows are few, what is read of them counts.
    /// With more rows the unrolled blocks would take longer to compile than they are worth.
    pub(super) const fn takes_blocks(self) -> bool {
        matches!(self, Self::Dot(1 | 2, _) | Self::Broadcast(1 | 2))
    }

    /// Whether its kernels use subgroups.
    pub const fn subgroups(self) -> bool {
        matches!(self, Self::Broadcast(_) | Self::Dot(_, Total::Subgroup(_)) | Self::Cooperative(Cooperative { builtins: true, .. }))
    }
}

/// The visible name, which [`Loop::from_str`] reads back.
impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(rows) => write!(f, "direct-{rows}"),
            Self::Broadcast(rows) => write!(f, "broadcast-{rows}"),
            Self::Dot(rows, Total::Tree) => write!(f, "dot-{rows}"),
            Self::Dot(rows, Total::Subgroup(width)) => write!(f, "dot-{rows}-subgroup-{width}"),
            Self::Tiled(tile) => {
                let Tile { rows, cols, invocation_rows, invocation_cols, steps, buffers } = tile;
                write!(f, "tiled-{rows}x{cols}x{}-{invocation_rows}x{invocation_cols}-{buffers}", 4 * steps)
            }
            Self::Cooperative(Cooperative { tile, steps, lanes, builtins }) => {
                let lanes = if *builtins { format!("{lanes}") } else { format!("{lanes}-guessed") };
                write!(f, "cooperative-{tile}x{tile}x{}-{lanes}", 4 * steps)
            }
            Self::Sum => f.write_str("sum"),
        }
    }
}

impl FromStr for Loop {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::every().find(|looping| looping.to_string() == name).ok_or_else(|| {
            let known: Vec<_> = Self::every().map(|looping| looping.to_string()).collect();
            UnknownName::new("loop", name, known.iter().map(String::as_str))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let cooperative = Some(Matrices { tile: 16, lanes: 32 });
        let capabilities =
            Capabilities { software: false, workgroup_bytes: 65536, invocations: 1024, wide: false, subgroup: Some((32, 32)), cooperative };
        let loops = Loop::available(&capabilities, true);
        assert_eq!(loops.len(), 2 + 6 + 8 + Tile::ALL.len() + 2);
        for looping in loops {
            assert_eq!(looping.to_string().parse::<Loop>().unwrap(), looping);
        }
        assert!("tiled-7x7".parse::<Loop>().is_err());
        assert!("sum".parse::<Loop>().is_err());
    }

    #[test]
    fn tiles_are_staged_without_a_rest() {
        for tile in Tile::ALL {
            assert_eq!(tile.steps * tile.rows % tile.invocations(), 0);
            assert_eq!(tile.steps * tile.cols % tile.invocations(), 0);
            assert_eq!(tile.invocation_cols % Loop::COLS, 0);
        }
    }

    #[test]
    fn default_limits_suffice_for_the_plain_loops() {
        let capabilities =
            Capabilities { software: false, workgroup_bytes: 16384, invocations: 256, wide: false, subgroup: None, cooperative: None };
        for gated in [false, true] {
            let loops = Loop::available(&capabilities, gated);
            assert!(loops.iter().all(|looping| !looping.subgroups()));
            assert!(loops.contains(&Loop::Tiled(Tile::WIDE)) && loops.contains(&Loop::Dot(4, Total::Tree)));
        }
    }
}
