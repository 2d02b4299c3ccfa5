//! Kernels that measure what an adapter can do.

use super::{Access, Binding, Kernel};

/// Copies vectors from one buffer to another.
pub fn copy() -> Kernel {
    let vectors = "array<vec4<u32>>";
    let bindings = vec![
        Binding::params(),
        Binding::storage("src_data", Access::Read, vectors),
        Binding::storage("dst_data", Access::ReadWrite, vectors),
    ];
    Kernel::link("bench/copy".into(), bindings, &[include_str!("../../shaders/bench/copy.wgsl")], "")
}
