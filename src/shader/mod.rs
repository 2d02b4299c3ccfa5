//! Variant to WGSL text: the only room that makes shader text, and it knows no wgpu.
//!
//! WGSL's module scope is free of order, so concatenating files that agree on names links them. What the
//! language forces to be text is rendered here: bindings and their accessors ([`operand`]) and the
//! one-line functions that name the activation ([`function`]).

pub mod catalogue;
pub mod ceilings;
pub mod elementwise;
pub mod function;
pub mod matmul;
pub mod mixture;
pub mod operand;
pub mod reduce;
#[cfg(test)]
mod tests;
pub mod update;

pub use operand::{Access, Binding};

const NUMERICS: &str = include_str!("../../shaders/numerics.wgsl");
const ACTIVATIONS: &str = include_str!("../../shaders/activations.wgsl");
const DERIVATIVES: &str = include_str!("../../shaders/derivatives.wgsl");
const GATES: &str = include_str!("../../shaders/gates.wgsl");
const GATES_GRAD: &str = concat!(include_str!("../../shaders/gates.wgsl"), include_str!("../../shaders/gates_grad.wgsl"));

/// A linked kernel: what a pipeline is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Visible name; the text is its key in the pipeline cache.
    pub name: String,
    /// Complete module with the entry point `main`.
    pub wgsl: String,
    /// Bindings of group 0 in order; the first is the uniform block.
    pub bindings: Vec<Binding>,
    /// Whether it holds an expression of a user's, whose divisors nobody knows.
    pub custom: bool,
    /// Whether it uses subgroups, an optional feature.
    pub subgroups: bool,
    /// Whether it uses 64-bit integers, an optional feature.
    pub int64: bool,
    /// Whether it uses the built-in conversion of halves, which some devices lack.
    pub halves: bool,
    /// Whether it uses cooperative matrices, an optional and experimental feature.
    pub cooperative: bool,
}

impl Kernel {
    /// A kernel with operands in bindings of their own.
    fn of_operands(name: String, operands: &[operand::Operand], files: &[&'static str], rendered: &str) -> Self {
        let operand::Rendered { bindings, accessors, storage, .. } = operand::render(operands, &[]);
        let files: Vec<_> = files.iter().copied().chain(storage).collect();
        Self::link(name, false, bindings, &files, &(accessors + rendered))
    }

    /// What a browser has to be told before this text, and naga will not hear: the optional features that it uses.
    pub const fn browser_directives(&self) -> &'static str {
        if self.subgroups { "enable subgroups;\n" } else { "" }
    }

    fn link(name: String, custom: bool, bindings: Vec<Binding>, files: &[&str], rendered: &str) -> Self {
        let mut wgsl = String::new();
        for (index, binding) in bindings.iter().enumerate() {
            wgsl.push_str(&binding.declare(index));
        }
        wgsl.push_str(rendered);
        for file in files {
            wgsl.push_str(file);
        }
        Self { name, wgsl, bindings, custom, subgroups: false, int64: false, halves: false, cooperative: false }
    }
}

/// Workgroups as a grid whose every side is within `max_side`; the kernels read it as one row.
pub fn grid(workgroups: u64, max_side: u32) -> Option<[u32; 3]> {
    let side = u64::from(max_side);
    let x = workgroups.min(side);
    let y = if x == 0 { 0 } else { workgroups.div_ceil(x) };
    if y > side {
        return None;
    }
    // Even rows waste the fewest workgroups past the end.
    let x = if y == 0 { 0 } else { workgroups.div_ceil(y) };
    Some([u32::try_from(x).ok()?, u32::try_from(y).ok()?, 1])
}

#[cfg(test)]
mod grid_tests {
    use super::*;

    #[test]
    fn grids_cover_and_stay_within_the_side() {
        for (workgroups, want) in [(0, [0, 0, 1]), (1, [1, 1, 1]), (65535, [65535, 1, 1]), (65536, [32768, 2, 1])] {
            assert_eq!(grid(workgroups, 65535), Some(want));
        }
        assert_eq!(grid(65535 * 65535 + 1, 65535), None);
        for workgroups in 1..2000 {
            let [x, y, _] = grid(workgroups, 37).unwrap_or([37, 37, 1]);
            assert!(x <= 37 && y <= 37 && (u64::from(x) * u64::from(y) >= workgroups || workgroups > 37 * 37));
        }
    }
}
