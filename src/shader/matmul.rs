//! Matrix kernels: a loop, linked with an operand file and an epilogue.

use super::Kernel;
use super::elementwise::function_files;
use super::function::Function;
use super::operand::{self, Lanes, Operand};
use crate::element::Element;

/// The loop that a matrix kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loop {
    /// From storage to registers; no workgroup memory.
    Direct,
    /// Staged in workgroup memory.
    Tiled,
}

impl Loop {
    /// Every loop.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Tiled];

    /// Rows and columns of the output that one workgroup computes.
    pub const TILE: u64 = 32;

    /// The loop that is run where none is asked for: software adapters gain nothing from workgroup memory.
    pub const fn preferred(software: bool) -> Self {
        if software { Self::Direct } else { Self::Tiled }
    }

    /// Visible name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Tiled => "tiled",
        }
    }

    /// Bytes of workgroup memory for an operand file.
    pub const fn workgroup_bytes(self, gated: bool) -> u32 {
        match self {
            Self::Direct => 0,
            Self::Tiled => 128 * 16 * if gated { 3 } else { 2 },
        }
    }
}

/// What changes a matrix kernel's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The loop.
    pub looping: Loop,
    /// Epilogue. A gate makes it two products, with weights `b` and `b_up`.
    pub function: Function,
    /// Kind of a, the left operand.
    pub a: Element,
    /// Kind of the weights.
    pub b: Element,
    /// Kind of the output.
    pub out: Element,
    /// Kind of the biases; `None` without.
    pub bias: Option<Element>,
    /// Whether rows of a and b can be read as vectors, and rows of the output stored so.
    pub depth_lanes: Lanes,
    /// See `depth_lanes`.
    pub out_lanes: Lanes,
    /// Whether learnable parameters come from a tensor.
    pub learned: bool,
    /// Inputs that lie elsewhere in the buffer that is written.
    pub shared: Vec<&'static str>,
}

impl Variant {
    /// Whether it is two products.
    pub fn gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }

    /// Visible name.
    pub fn name(&self) -> String {
        let operands = if self.gated() { "gate_up" } else { "linear" };
        let Self { a, b, out, .. } = self;
        let bias = if self.bias.is_some() { "/bias" } else { "" };
        format!(
            "matmul/{}/{operands}/{}/{a}*{b}->{out}/{}x{}{bias}",
            self.looping.name(),
            self.function.name(),
            self.depth_lanes.count(),
            self.out_lanes.count()
        )
    }

    /// The tensors in the order of their offsets.
    pub fn operands(&self) -> Vec<Operand> {
        let mut operands = vec![Operand::new("a", self.a, self.depth_lanes, false), Operand::new("b", self.b, self.depth_lanes, false)];
        if self.gated() {
            operands.push(Operand::new("b_up", self.b, self.depth_lanes, false));
        }
        operands.push(Operand::new("out", self.out, self.out_lanes, true));
        if let Some(bias) = self.bias {
            operands.push(Operand::new("bias", bias, Lanes::One, false));
            if self.gated() {
                operands.push(Operand::new("bias_up", bias, Lanes::One, false));
            }
        }
        if self.learned {
            operands.push(Operand::new("learned", Element::F32, Lanes::One, false));
        }
        operands
    }

    /// Links the kernel.
    pub fn kernel(&self) -> Kernel {
        let operand::Rendered { bindings, accessors: mut rendered, storage } = operand::render(&self.operands(), &self.shared);
        let weights: &[&str] = if self.gated() { &["b", "b_up"] } else { &["b"] };
        for name in ["a"].iter().chain(weights) {
            rendered += &operand::row_vectors(name, self.depth_lanes);
        }
        for (of, load) in [("bias_of", "load_bias"), ("bias_up_of", "load_bias_up")].into_iter().take(weights.len()) {
            let body = if self.bias.is_some() { format!("{load}(channel(col))") } else { "0.0".into() };
            rendered += &format!("fn {of}(col: u32) -> f32 {{\n    return {body};\n}}\n");
        }
        if self.learned {
            rendered += super::elementwise::LEARNED;
        }
        rendered += &self.function.value(self.learned);
        let looping = match self.looping {
            Loop::Direct => include_str!("../../shaders/matmul/direct.wgsl"),
            Loop::Tiled => include_str!("../../shaders/matmul/tiled.wgsl"),
        };
        let operands =
            if self.gated() { include_str!("../../shaders/matmul/gate_up.wgsl") } else { include_str!("../../shaders/matmul/linear.wgsl") };
        let cols = match self.out_lanes {
            Lanes::Four => include_str!("../../shaders/matmul/cols4.wgsl"),
            Lanes::One => include_str!("../../shaders/matmul/cols1.wgsl"),
        };
        let params = include_str!("../../shaders/matmul/params.wgsl");
        let mut files = vec![params, looping, operands, include_str!("../../shaders/matmul/micro.wgsl"), cols];
        files.extend(function_files(&self.function, false));
        files.extend(storage);
        Kernel::link(self.name(), self.function.is_custom(), bindings, &files, &rendered)
    }
}
