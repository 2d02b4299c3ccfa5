//! The table of defaults.

use super::{Problem, Strategy};
use crate::shader::matmul::{Capabilities, Loop, Tile, Total};

/// The strategy where nothing was measured. Choices for software adapters were measured on Mesa's llvmpipe; those for
/// GPUs follow from what is known of them (4 x 4 outputs an invocation fit every GPU's registers) until they are.
pub fn shipped(capabilities: &Capabilities, problem: &Problem) -> Strategy {
    let looping = if capabilities.software { software(capabilities, problem) } else { gpu(problem) };
    let slices = if problem.gated || capabilities.software { 1 } else { problem.slices(looping, 64) };
    Strategy { slices, ..Strategy::of(looping) }
}

fn software(capabilities: &Capabilities, problem: &Problem) -> Loop {
    match (capabilities.subgroup, problem.rows) {
        // What is loaded of a row counts most, and of quantised weights a lane loads 32 at a time.
        (Some((8.., _)), 0..=1) if problem.b.element().is_none() => Loop::Broadcast(1),
        (Some((least, most)), 0..=1) if least == most => Loop::Dot(1, Total::Subgroup(least)),
        (Some((8.., _)), 0..=1) => Loop::Broadcast(1),
        (Some((8.., _)), 2) => Loop::Broadcast(2),
        (Some((8.., _)), 3..=4) => Loop::Broadcast(4),
        (Some((8.., _)), 5..=8) => Loop::Broadcast(8),
        (Some((8.., _)), 9..=16) => Loop::Broadcast(16),
        // A sixth faster, but older compilers take a second for it: only where that is soon made up for.
        (Some((8.., _)), _) => Loop::Broadcast(if problem.macs() < 1 << 30 { 16 } else { 32 }),
        (_, 0..=4) => Loop::Direct(4),
        (_, _) => Loop::Direct(8),
    }
}

fn gpu(problem: &Problem) -> Loop {
    match problem.rows {
        0..=1 => Loop::Dot(1, Total::Tree),
        2 => Loop::Dot(2, Total::Tree),
        3..=8 => Loop::Dot(4, Total::Tree),
        9..=32 => Loop::Tiled(Tile::SMALL),
        _ => Loop::Tiled(Tile::WIDE),
    }
}
