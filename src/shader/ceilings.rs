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
    let files = [include_str!("../../shaders/elementwise/map.wgsl"), include_str!("../../shaders/bench/copy.wgsl")];
    Kernel::link("bench/copy".into(), false, bindings, &files, "")
}
