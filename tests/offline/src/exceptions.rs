//! What does not compile, and why that is no mistake of ours. Whatever fails and is not in this table is one, and so is what
//! is in it and compiles.

use crate::judge::Entry;

pub struct Exception {
    /// How the tables call it.
    pub letter: char,
    pub targets: &'static [&'static str],
    pub covers: fn(&Entry) -> bool,
    /// What is said of each such kernel.
    pub error: &'static str,
    pub reason: &'static str,
}

/// The one that is about a kernel's text for a target.
pub fn of(target: &str, entry: &Entry) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|e| e.targets.contains(&target) && (e.covers)(entry))
}

fn cooperative(entry: &Entry) -> bool {
    entry.uses("cooperative")
}

pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        letter: 'a',
        targets: &["wgsl"],
        covers: cooperative,
        error: "expected extension",
        reason: "cooperative matrices are an extension of naga's to WGSL; no browser offers them, and there these kernels are never chosen",
    },
    Exception {
        letter: 'b',
        targets: &["wgsl"],
        covers: |entry| entry.uses("int64"),
        error: "unresolved type 'u64'",
        reason: "64-bit integers are an extension of naga's to WGSL; only native adapters on the CPU load words of 64 bits",
    },
    Exception {
        letter: 'c',
        targets: &["hlsl"],
        covers: cooperative,
        error: "naga: write_value_type CooperativeMatrix",
        reason: "naga writes no cooperative matrices for Direct3D, and wgpu offers none there",
    },
    Exception {
        letter: 'd',
        targets: &["glsl-es-3.10", "glsl-4.50"],
        covers: cooperative,
        error: "naga: A scalar with an unsupported width was requested: Scalar { kind: Float, width: 2 }",
        reason: "naga writes no cooperative matrices and no f16 for OpenGL, and wgpu offers neither there",
    },
    Exception {
        letter: 'e',
        targets: &["glsl-es-3.10", "glsl-4.50"],
        covers: |entry| entry.uses("int64"),
        error: "naga: A scalar with an unsupported width was requested: Scalar { kind: Uint, width: 8 }",
        reason: "naga writes no 64-bit integers for OpenGL, and wgpu offers none there",
    },
    Exception {
        letter: 'f',
        targets: &["msl-2.4"],
        covers: |entry| cooperative(entry) && (entry.kernel.contains("cooperative-16x16") || entry.kernel.ends_with("cooperative/16")),
        error: "16x16",
        reason: "Metal's matrices are 8 x 8; wgpu lists no other there, so those of 16 x 16 are never chosen",
    },
    Exception {
        letter: 'g',
        targets: &["spirv-1.3", "spirv-1.6"],
        covers: |entry| cooperative(entry) && entry.uses("atomics"),
        error: "requires the VulkanMemoryModelDeviceScopeKHR capability",
        reason: "cooperative matrices bring Vulkan's memory model, in which naga's atomics, here those that store halves of words, have \
                 the scope of a device without declaring that; WGSL cannot say another",
    },
    // After the one before it, which is found first where both are true.
    Exception {
        letter: 'h',
        targets: &["spirv-1.3"],
        covers: |entry| entry.uses("workgroup"),
        error: "VUID-StandaloneSpirv-None-10684",
        reason: "naga decorates arrays in workgroup memory with a stride, which newer rules of Vulkan forbid (gfx-rs/wgpu#7696); it hides \
                 what else these rules might find there, while by the rules of SPIR-V itself the same kernels are checked as spirv-1.6",
    },
];
