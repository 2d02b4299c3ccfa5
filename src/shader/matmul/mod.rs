//! Matrix kernels: a loop, linked with what one or two products accumulate and with an epilogue.

pub(super) mod cooperative;
mod looping;
mod packed;
mod tile;

pub use looping::{Capabilities, Cooperative, Loop, Matrices, Tile, Total};

use super::Kernel;
use super::elementwise::function_files;
use super::function::Function;
use super::operand::{self, Lanes, Operand};
use crate::element::Element;
use crate::quantised::{Packing, WeightKind};

/// Which products a kernel computes, and what it applies to their sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Products {
    /// One, and an activation.
    One,
    /// The gate's, and the gate over it and an up that lies in memory.
    Gate,
    /// Gate and up, and the gate over them.
    GateUp,
    /// One, and the sums of a's rows besides: of a gradient, those are the bias's.
    Summed,
}

/// What belongs to experts, and whose rows lie in the tokens' order, to be gathered ([`crate::nn::Mixture`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Experts {
    /// Nothing: there is one product.
    None,
    /// Rows of the output: each has its expert's weights. Those of a are gathered or the output's own.
    Rows {
        /// Whether a's rows are the tokens'.
        gathered: bool,
    },
    /// The depth: each expert has a product of its own, over its rows. Those of b are gathered or a's own.
    Depth {
        /// Whether b's rows are the tokens'.
        gathered: bool,
    },
}

/// What changes a matrix kernel's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// The loop.
    pub looping: Loop,
    /// What is multiplied: `a` by `b`, or by `b` and `b_up`.
    pub products: Products,
    /// Epilogue.
    pub function: Function,
    /// Kind of a, the left operand.
    pub a: Element,
    /// Kind of the weights.
    pub b: WeightKind,
    /// Kind of the output.
    pub out: Element,
    /// Kind of the biases; `None` without.
    pub bias: Option<Element>,
    /// Kind of an up that lies in memory.
    pub up: Element,
    /// Kind of the sums of a's rows, and whether they are added to what is there.
    pub sums: (Element, bool),
    /// Kind of what is added to the result; `None` without.
    pub residual: Option<Element>,
    /// Whether a, and the weights, lie in memory with the depth as their first dimension.
    pub transposed: [bool; 2],
    /// How rows of a and of b can be read: [`Lanes::Eight`] both or neither, in dots alone.
    pub depth_lanes: [Lanes; 2],
    /// Whether rows of the output, of up and of the residual can be read and stored as vectors.
    pub out_lanes: Lanes,
    /// Whether learnable parameters come from a tensor.
    pub learned: bool,
    /// Whether scales are converted by the built-in function, which is exact on CPUs.
    pub built_in_halves: bool,
    /// What belongs to experts.
    pub experts: Experts,
    /// Operands that are exactly the output, which is overwritten.
    pub in_place: Vec<&'static str>,
    /// Inputs that lie elsewhere in the buffer that is written.
    pub shared: Vec<&'static str>,
}

impl Variant {
    /// The plain product of two f32 operands with one function: whole vectors, no biases.
    pub fn new(looping: Loop, function: Function) -> Self {
        let products = if matches!(function, Function::Gate(_)) { Products::GateUp } else { Products::One };
        Self {
            looping,
            products,
            function,
            a: Element::F32,
            b: Element::F32.into(),
            out: Element::F32,
            bias: None,
            up: Element::F32,
            sums: (Element::F32, false),
            residual: None,
            transposed: [false; 2],
            depth_lanes: [Lanes::Four; 2],
            out_lanes: Lanes::Four,
            learned: false,
            built_in_halves: false,
            experts: Experts::None,
            in_place: Vec::new(),
            shared: Vec::new(),
        }
    }

    /// Visible name.
    pub fn name(&self) -> String {
        let Self { a, b, out, looping, .. } = self;
        let products = match self.products {
            Products::One => "linear",
            Products::Gate => "gate",
            Products::GateUp => "gate_up",
            Products::Summed => "linear_and_sums",
        };
        let [at, bt] = self.transposed.map(|transposed| if transposed { "t" } else { "" });
        let [ad, bd] = self.depth_lanes.map(Lanes::count);
        let mut name =
            format!("matmul/{looping}/{products}/{}/{a}{at}*{b}{bt}->{out}/{ad}x{bd}x{}", self.function.name(), self.out_lanes.count());
        for (flag, text) in [(self.bias.is_some(), "bias"), (self.residual.is_some(), "residual"), (self.learned, "learned")] {
            if flag {
                name = format!("{name}/{text}");
            }
        }
        match self.experts {
            Experts::None => name,
            Experts::Rows { gathered } => name + if gathered { "/experts/gathered" } else { "/experts" },
            Experts::Depth { gathered } => name + if gathered { "/experts_depth/gathered" } else { "/experts_depth" },
        }
    }

    /// The packing of quantised weights.
    pub(crate) const fn packing(&self) -> Option<Packing> {
        match (self.looping, self.b) {
            (Loop::Sum, _) | (_, WeightKind::Plain(_)) => None,
            (_, WeightKind::Packed(packing)) => Some(packing),
        }
    }

    /// Whether a step along the depth is a block of quantised weights.
    const fn blocks(&self) -> bool {
        self.packing().is_some() && self.looping.takes_blocks()
    }

    /// Numbers of a step along the depth.
    pub const fn step(&self) -> u64 {
        match self.depth_lanes[0] {
            _ if self.blocks() => 32,
            Lanes::Eight => 8,
            Lanes::Four | Lanes::One => 4,
        }
    }

    /// The weights' operands.
    fn weights(&self) -> &'static [&'static str] {
        match (self.looping, self.products) {
            (Loop::Sum, _) => &[],
            (_, Products::GateUp) => &["b", "b_up"],
            _ => &["b"],
        }
    }

    /// The biases' operands.
    fn biases(&self) -> &'static [&'static str] {
        match self.products {
            Products::GateUp => &["bias", "bias_up"],
            _ => &["bias"],
        }
    }

    /// The tensors in the order of their offsets.
    pub fn operands(&self) -> Vec<Operand> {
        // A column of the transposed is read element by element, neighbours by neighbours.
        let lanes = |of: usize| if self.transposed[of] { Lanes::One } else { self.depth_lanes[of] };
        let a_lanes = if self.looping == Loop::Sum { self.out_lanes } else { lanes(0) };
        let mut operands = vec![Operand::new("a", self.a, a_lanes, false)];
        // Packed words are vectors, in the guise of f32.
        let (b, b_lanes) = self.b.element().map_or((Element::F32, Lanes::Four), |element| (element, lanes(1)));
        operands.extend(self.weights().iter().map(|name| Operand::new(name, b, b_lanes, false)));
        operands.push(Operand::new("out", self.out, self.out_lanes, true));
        if let Some(bias) = self.bias {
            operands.extend(self.biases().iter().map(|name| Operand::new(name, bias, Lanes::One, false)));
        }
        if self.products == Products::Gate {
            operands.push(Operand::new("up", self.up, self.out_lanes, false));
        }
        if self.products == Products::Summed {
            operands.push(Operand::new("sums", self.sums.0, Lanes::One, true));
        }
        if let Some(residual) = self.residual {
            operands.push(Operand::new("residual", residual, self.out_lanes, false));
        }
        if self.learned {
            operands.push(Operand::new("learned", Element::F32, Lanes::One, false));
        }
        if self.experts != Experts::None {
            // One table, of which each has its part.
            let part = |name| Operand { binding: "experts".into(), ..Operand::new(name, Element::F32, Lanes::One, false).counting() };
            operands.extend([Operand { steers: true, ..part("segments") }, part("members")]);
        }
        for operand in &mut operands {
            if self.in_place.contains(&operand.name) {
                operand.binding = "out".into();
            }
        }
        operands
    }

    /// Links the kernel.
    pub fn kernel(&self) -> Kernel {
        let operands = self.operands();
        let operand::Rendered { bindings, accessors: mut rendered, storage, int64 } = operand::render(&operands, &self.shared);
        let sum = self.looping == Loop::Sum;
        if sum {
            rendered += &operand::col_vectors("a", self.out_lanes, "params.a_stride");
        } else {
            let step = if self.blocks() { "a_part" } else { "a_step" };
            rendered += &operand::row_vectors("a", step, self.depth_lanes[0], self.transposed[0]);
        }
        for (slot, operand) in operands.iter().enumerate().filter(|(_, operand)| self.weights().contains(&operand.name)) {
            rendered += &match self.packing() {
                Some(packing) => packed::render(operand.name, slot, packing, self.blocks()),
                None => operand::row_vectors(operand.name, &format!("{}_step", operand.name), self.depth_lanes[1], self.transposed[1]),
            };
        }
        for name in self.biases() {
            let body = if self.bias.is_some() { format!("load_{name}(channel(col))") } else { "0.0".into() };
            rendered += &format!("fn {name}_of(col: u32) -> f32 {{\n    return {body};\n}}\n");
        }
        if self.products == Products::Gate {
            rendered += &operand::col_vectors("up", self.out_lanes, "params.out_stride");
        }
        if self.products == Products::Summed {
            let before = if self.sums.1 { "load_sums(row) + " } else { "" };
            rendered += &format!("fn finish_sum(row: u32, sum: f32) {{\n    store_sums(row, {before}sum);\n}}\n");
        }
        let mut result = "v";
        if self.residual.is_some() {
            rendered += &operand::col_vectors("residual", self.out_lanes, "params.out_stride");
            result = "v + residual_of(row, col)";
        }
        rendered += &format!("fn with_residual(row: u32, col: u32, v: vec4<f32>) -> vec4<f32> {{\n    return {result};\n}}\n");
        if self.learned {
            rendered += super::elementwise::LEARNED;
        }
        rendered += &self.function.value(self.learned);
        if let Loop::Cooperative(with) = self.looping {
            rendered += &cooperative::render(self, with);
        } else if !sum {
            rendered += &tile::render(self.looping, self.transposed, self.products == Products::Summed, self.blocks());
        }
        let gathered = match self.experts {
            Experts::None => false,
            Experts::Rows { gathered } | Experts::Depth { gathered } => gathered,
        };
        if self.experts != Experts::None {
            let row = if gathered { "members_word(2u * row)" } else { "row" };
            rendered += &format!("const TRANSPOSED = {};\nfn row_of(row: u32) -> u32 {{\n    return {row};\n}}\n", self.transposed[1]);
        }
        let mut files = vec![include_str!("../../../shaders/matmul/params.wgsl")];
        files.push(match self.experts {
            Experts::None => include_str!("../../../shaders/matmul/one.wgsl"),
            Experts::Rows { .. } => include_str!("../../../shaders/matmul/expert_rows.wgsl"),
            Experts::Depth { .. } => include_str!("../../../shaders/matmul/expert_depth.wgsl"),
        });
        files.push(match self.looping {
            Loop::Direct(_) => include_str!("../../../shaders/matmul/direct.wgsl"),
            Loop::Broadcast(_) => include_str!("../../../shaders/matmul/broadcast.wgsl"),
            Loop::Dot(..) => include_str!("../../../shaders/matmul/dot.wgsl"),
            Loop::Tiled(_) => include_str!("../../../shaders/matmul/tiled.wgsl"),
            Loop::Cooperative(_) => include_str!("../../../shaders/matmul/cooperative.wgsl"),
            Loop::Sum => include_str!("../../../shaders/matmul/sum.wgsl"),
        });
        if matches!(self.looping, Loop::Dot(_, Total::Tree)) {
            files.push(include_str!("../../../shaders/matmul/tree.wgsl"));
        }
        files.push(match self.products {
            Products::One => include_str!("../../../shaders/matmul/linear.wgsl"),
            Products::Gate => include_str!("../../../shaders/matmul/gate.wgsl"),
            Products::GateUp => include_str!("../../../shaders/matmul/gate_up.wgsl"),
            Products::Summed => include_str!("../../../shaders/matmul/linear_and_sums.wgsl"),
        });
        match self.products {
            _ if sum => {}
            Products::One | Products::Gate => files.push(include_str!("../../../shaders/matmul/product.wgsl")),
            Products::GateUp => files.push(include_str!("../../../shaders/matmul/products.wgsl")),
            Products::Summed => files.push(include_str!("../../../shaders/matmul/product_and_sums.wgsl")),
        }
        files.push(match self.step() {
            32 => include_str!("../../../shaders/matmul/step32.wgsl"),
            8 => include_str!("../../../shaders/matmul/step8.wgsl"),
            _ => include_str!("../../../shaders/matmul/step4.wgsl"),
        });
        let packed = self.packing().map_or_else(Vec::new, |packing| packed::files(packing, self.blocks(), self.built_in_halves));
        files.push(match self.out_lanes {
            Lanes::Four | Lanes::Eight => include_str!("../../../shaders/matmul/cols4.wgsl"),
            Lanes::One => include_str!("../../../shaders/matmul/cols1.wgsl"),
        });
        files.extend(function_files(&self.function, false));
        files.extend(storage);
        for file in packed {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let kernel = Kernel::link(self.name(), self.function.is_custom(), bindings, &files, &rendered);
        let halves = int64 || self.packing().is_some() && self.built_in_halves;
        let kernel = Kernel { subgroups: self.looping.subgroups(), int64, halves, ..kernel };
        if matches!(self.looping, Loop::Cooperative(_)) { cooperative::enable(kernel) } else { kernel }
    }
}
