//! Kernels that measure what an adapter can do.

use std::fmt::Write as _;

use super::matmul::{Matrices, cooperative};
use super::{Access, Binding, Kernel};

/// Copies vectors from one buffer to another.
pub fn copy() -> Kernel {
    let vectors = "array<vec4<u32>>";
    let bindings = vec![
        Binding::params(),
        Binding::storage("src_data", Access::Read, vectors),
        Binding::storage("dst_data", Access::ReadWrite, vectors),
    ];
    let files = [include_str!("../../shaders/elementwise/map.wgsl"), include_str!("../../shaders/bench/copy.wgsl")];
    Kernel::link("bench/copy".into(), false, bindings, &files, "")
}

/// Chains of cooperative matrices in a workgroup of [`cooperative_rate`].
pub const COOPERATIVE_CHAINS: u32 = 8;

/// Multiplies cooperative matrices out of registers: each turn adds `tile` to each of 8 tile x tile sums a workgroup.
pub fn cooperative_rate(matrices: Matrices) -> Kernel {
    let Matrices { tile, lanes } = matrices;
    let bindings = vec![Binding::params(), Binding::storage("sums", Access::ReadWrite, "array<f32>")];
    let text = format!("const TILE = {tile}u;\nconst LANES = {lanes}u;\n{}", cooperative::matrices(tile));
    let file = include_str!("../../shaders/bench/cooperative.wgsl");
    cooperative::enable(Kernel::link(format!("bench/cooperative/{tile}"), false, bindings, &[file], &text))
}

/// Independent chains of f32 multiply-adds in one invocation. How many an adapter needs to be busy depends on how long a
/// multiply-add takes and on how many registers there are, so several shapes are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chains {
    /// How many.
    pub count: u32,
    /// Accumulators of four lanes instead of one.
    pub vectors: bool,
    /// Steps of every chain in one turn of the loop.
    pub steps: u32,
}

impl Chains {
    /// The shapes that reveal the highest rate somewhere. On a CPU with 16 vector registers, twelve accumulators and what is
    /// multiplied and added stay in them, and one more does not; the more steps a turn, the less the loop costs.
    pub const ALL: [Self; 4] = [Self::new(8, false, 16), Self::new(12, false, 32), Self::new(16, false, 16), Self::new(3, true, 32)];

    /// Invocations in a workgroup.
    pub const WORKGROUP: u32 = 64;

    /// A shape.
    pub const fn new(count: u32, vectors: bool, steps: u32) -> Self {
        Self { count, vectors, steps }
    }

    /// Accumulators of one invocation.
    pub const fn lanes(self) -> u32 {
        self.count * if self.vectors { 4 } else { 1 }
    }

    /// What an invocation stores that started at `start` (its number modulo 64) and made `turns` turns. Every number on
    /// the way is an integer below 2^24, so that f32 is exact however the sum is ordered.
    pub const fn sum(self, start: u32, turns: u32) -> u32 {
        let lanes = self.lanes();
        lanes * (start + turns * self.steps) + lanes * (lanes - 1) / 2
    }

    /// Turns up to which the sums are exact.
    pub const fn most_turns(self) -> u32 {
        let lanes = self.lanes();
        ((1 << 24) / lanes - Self::WORKGROUP - lanes) / self.steps
    }

    /// Links the kernel.
    pub fn kernel(self) -> Kernel {
        let accumulator = if self.vectors { "vec4<f32>" } else { "f32" };
        let mut burn = format!("const WORKGROUP = {}u;\nfn burn(start: f32) -> f32 {{\n", Self::WORKGROUP);
        let _ = writeln!(burn, "    let a = {accumulator}(params.factor);\n    let b = {accumulator}(params.term);");
        for chain in 0..self.count {
            let first =
                if self.vectors { format!("vec4<f32>(0.0, 1.0, 2.0, 3.0) + {}.0", 4 * chain) } else { format!("{accumulator}({chain}.0)") };
            let _ = writeln!(burn, "    var x{chain} = start + {first};");
        }
        let _ = writeln!(burn, "    for (var turn = 0u; turn < params.turns; turn++) {{");
        for _ in 0..self.steps {
            for chain in 0..self.count {
                let _ = writeln!(burn, "        x{chain} = fma(x{chain}, a, b);");
            }
        }
        let sum = (0..self.count).map(|chain| format!("x{chain}")).collect::<Vec<_>>().join(" + ");
        let sum = if self.vectors { format!("dot({sum}, vec4<f32>(1.0))") } else { sum };
        let _ = writeln!(burn, "    }}\n    return {sum};\n}}");
        let bindings = vec![Binding::params(), Binding::storage("sums", Access::ReadWrite, "array<f32>")];
        let name = format!("bench/fma/{}x{}/{}", self.count, if self.vectors { 4 } else { 1 }, self.steps);
        Kernel::link(name, false, bindings, &[include_str!("../../shaders/bench/fma.wgsl")], &burn)
    }
}
