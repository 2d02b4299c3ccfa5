//! Elementwise kernels: one loop, linked with an operation, a function, a kind of element and a layout.

use super::function::Function;
use super::operand::{self, Index, Lanes, Operand};
use super::{ACTIVATIONS, Binding, DERIVATIVES, GATES, GATES_GRAD, Kernel, NUMERICS};
use crate::element::Element;
use crate::gate::Layout;

/// Invocations in a workgroup, and units each of them processes.
pub const WORKGROUP: u64 = 256;
/// Units an invocation processes.
pub const STEPS: u64 = 8;

/// What changes an elementwise kernel's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What is applied.
    pub function: Function,
    /// Gradient instead of value.
    pub backward: bool,
    /// Kind of every tensor but the learned parameters, which are f32.
    pub element: Element,
    /// Elements in a unit.
    pub lanes: Lanes,
    /// Where gate and up lie.
    pub layout: Layout,
    /// Whether a bias is added to x (of gates: to gate and to up).
    pub bias: bool,
    /// Whether learnable parameters come from a tensor.
    pub learned: bool,
    /// Input operands that are overwritten, each with the output that does so.
    pub in_place: Vec<(&'static str, &'static str)>,
    /// Inputs that lie elsewhere in a buffer that is written.
    pub shared: Vec<&'static str>,
}

impl Variant {
    /// The plain variant: vectors, separate tensors, no bias, constants for parameters.
    pub fn new(function: Function, backward: bool, element: Element) -> Self {
        Self {
            function,
            backward,
            element,
            lanes: Lanes::Four,
            layout: Layout::Separate,
            bias: false,
            learned: false,
            in_place: Vec::new(),
            shared: Vec::new(),
        }
    }

    fn gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }

    /// Visible name: operation, function, kind and what is unusual.
    pub fn name(&self) -> String {
        let direction = if self.backward { "backward" } else { "forward" };
        let mut name = format!("elementwise/{direction}/{}/{}x{}", self.function.name(), self.element, self.lanes.count());
        if self.gated() {
            name = format!("{name}/{}", self.layout.name());
        }
        for (flag, text) in [(self.bias, "bias"), (self.learned, "learned"), (!self.in_place.is_empty(), "in_place")] {
            if flag {
                name = format!("{name}/{text}");
            }
        }
        name
    }

    /// The tensors in the order of their offsets.
    pub fn operands(&self) -> Vec<Operand> {
        let (gate, up) = match self.layout {
            Layout::Separate => (Index::Flat, Index::Flat),
            Layout::Packed | Layout::Swapped => (Index::Half, Index::Half),
            Layout::Interleaved => (Index::Even, Index::Odd),
        };
        let read = |name| Operand::new(name, self.element, self.lanes, false);
        let write = |name| Operand::new(name, self.element, self.lanes, true);
        let mut operands = match (self.gated(), self.backward) {
            (false, false) => vec![read("x"), write("y")],
            (false, true) => vec![read("x"), read("dy"), write("dx")],
            (true, false) => vec![read("gate").at(gate), read("up").at(up), write("y")],
            (true, true) => vec![read("gate").at(gate), read("up").at(up), read("dy"), write("dgate").at(gate), write("dup").at(up)],
        };
        if self.layout != Layout::Separate {
            for operand in operands.iter_mut().filter(|o| o.name == "dup") {
                operand.binding = "dgate".into();
            }
        }
        if self.bias {
            let biases: &[&'static str] = if self.gated() { &["bias_gate", "bias_up"] } else { &["bias_x"] };
            operands.extend(biases.iter().map(|name| Operand::new(name, self.element, Lanes::One, false)));
        }
        if self.learned {
            operands.push(Operand::new("learned", Element::F32, Lanes::One, false));
        }
        for (input, output) in &self.in_place {
            let binding = operands.iter().find(|o| o.name == *output).map(|o| o.binding.clone());
            if let (Some(binding), Some(operand)) = (binding, operands.iter_mut().find(|o| o.name == *input)) {
                operand.binding = binding;
            }
        }
        operands
    }

    /// Links the kernel.
    pub fn kernel(&self) -> Kernel {
        let (bindings, mut rendered, storage) = self.render(self.operands());
        if self.backward && self.gated() {
            rendered += &operand::store_pair(self.element, self.layout, self.lanes, 3);
        }
        let map = include_str!("../../shaders/elementwise/map.wgsl");
        let mut files = vec![map, CHANNEL, self.operation(), self.lanes_file()];
        files.extend(function_files(&self.function, self.backward));
        files.extend(storage);
        Kernel::link(self.name(), self.function.is_custom(), bindings, &files, &rendered)
    }

    /// Bindings, rendered text and storage files of `operands`, with bias, learned parameters and function.
    pub(super) fn render(&self, mut operands: Vec<Operand>) -> (Vec<Binding>, String, Vec<&'static str>) {
        let inputs: &[&str] = if self.gated() { &["gate", "up"] } else { &["x"] };
        if self.bias {
            // The accessors proper get another name; the operation's own adds the bias.
            for operand in &mut operands {
                operand.name = match operand.name {
                    "x" => "plain_x",
                    "gate" => "plain_gate",
                    "up" => "plain_up",
                    other => other,
                };
            }
        }
        let operand::Rendered { bindings, accessors: mut rendered, storage, .. } = operand::render(&operands, &self.shared);
        if self.bias {
            inputs.iter().for_each(|input| rendered += &bias(input, self.lanes));
        }
        if self.learned {
            rendered += LEARNED;
        }
        rendered += &self.function.value(self.learned);
        if self.backward {
            rendered += &self.function.grad(self.learned);
            if self.gated() {
                rendered += &self.function.gated_grad(self.learned);
            }
        }
        (bindings, rendered, storage)
    }

    fn operation(&self) -> &'static str {
        match (self.gated(), self.backward) {
            (false, false) => include_str!("../../shaders/elementwise/forward.wgsl"),
            (false, true) => include_str!("../../shaders/elementwise/backward.wgsl"),
            (true, false) => include_str!("../../shaders/elementwise/gated.wgsl"),
            (true, true) => include_str!("../../shaders/elementwise/gated_backward.wgsl"),
        }
    }

    fn lanes_file(&self) -> &'static str {
        match (self.lanes, self.backward, self.gated()) {
            (Lanes::One, false, _) => include_str!("../../shaders/elementwise/lanes/value1.wgsl"),
            (Lanes::One, true, false) => include_str!("../../shaders/elementwise/lanes/grad1.wgsl"),
            (Lanes::One, true, true) => include_str!("../../shaders/elementwise/lanes/gated_grad1.wgsl"),
            (_, false, _) => include_str!("../../shaders/elementwise/lanes/value4.wgsl"),
            (_, true, false) => include_str!("../../shaders/elementwise/lanes/grad4.wgsl"),
            (_, true, true) => include_str!("../../shaders/elementwise/lanes/gated_grad4.wgsl"),
        }
    }
}

pub(super) const CHANNEL: &str = include_str!("../../shaders/elementwise/channel.wgsl");

/// `learned(k, e)`: learnable parameter k for element e, from a table [k][channel] or, where it is shared, [k].
pub(super) const LEARNED: &str = "fn learned(k: u32, e: u32) -> f32 {\n    \
     return load_learned(k * params.learned_channels + channel(e) % params.learned_channels);\n}\n";

/// The files of maths that a function needs.
pub(super) fn function_files(function: &Function, backward: bool) -> impl Iterator<Item = &'static str> {
    let derivatives = backward.then_some(DERIVATIVES);
    let gates = match (function.activation(), backward) {
        (None, false) => Some(GATES),
        (None, true) => Some(GATES_GRAD),
        (Some(_), _) => None,
    };
    [NUMERICS, ACTIVATIONS].into_iter().chain(derivatives).chain(gates)
}

/// `load_INPUT(i)` with the bias of its channel added.
fn bias(input: &str, lanes: Lanes) -> String {
    let at = |e: &str| format!("load_bias_{input}(({e}) % params.bias_channels)");
    let sum = match lanes {
        Lanes::One => at("i"),
        _ => format!("vec4<f32>({}, {}, {}, {})", at("4u * i"), at("4u * i + 1u"), at("4u * i + 2u"), at("4u * i + 3u")),
    };
    let lanes_type = lanes.wgsl_type();
    format!("fn load_{input}(i: u32) -> {lanes_type} {{\n    return load_plain_{input}(i) + {sum};\n}}\n")
}
