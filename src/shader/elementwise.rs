//! Elementwise kernels: one loop, linked with an operation, a function, a kind of element and a layout.

use super::function::{Function, pack_constants};
use super::operand::{self, Index, Lanes, Operand};
use super::{ACTIVATIONS, Binding, DERIVATIVES, GATES, GATES_GRAD, Kernel, NUMERICS};
use crate::element::Element;
use crate::gate::Layout;

/// Invocations in a workgroup, and units each of them processes.
pub const WORKGROUP: u64 = 256;
/// Units an invocation processes.
pub const STEPS: u64 = 8;

/// A kernel that is linked with shaders/elementwise/map.wgsl, as the host sees it: operands that are walked through
/// together, unit by unit.
pub trait Mapped: Clone {
    /// The tensors in the order of their offsets.
    fn operands(&self) -> Vec<Operand>;
    /// Where gate and up lie, of a gate.
    fn layout(&self) -> Layout {
        Layout::Separate
    }
    /// `params.constants`.
    fn constants(&self) -> [[f32; 4]; 5];
    /// Elements in a unit.
    fn lanes(&self) -> Lanes;
    /// The same with other units.
    #[must_use]
    fn with_lanes(self, lanes: Lanes) -> Self;
    /// Where operands share memory.
    fn places(&mut self) -> &mut Places;
    /// Links the kernel.
    fn kernel(&self) -> Kernel;
}

/// Which operands of a kernel share memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Input operands that are overwritten, each with the output that does so.
    pub in_place: Vec<(&'static str, &'static str)>,
    /// Inputs that lie elsewhere in a buffer that is written.
    pub shared: Vec<&'static str>,
}

impl Places {
    /// Gives inputs that are overwritten the bindings of their outputs.
    pub(super) fn bind(&self, operands: &mut [Operand]) {
        for (input, output) in &self.in_place {
            let binding = operands.iter().find(|o| o.name == *output).map(|o| o.binding.clone());
            if let (Some(binding), Some(operand)) = (binding, operands.iter_mut().find(|o| o.name == *input)) {
                operand.binding = binding;
            }
        }
    }
}

/// What an elementwise kernel computes of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The value.
    Forward,
    /// The gradient of the input.
    Backward,
    /// Both, each in place: the gradient over the input, the value over the gradient of the output. Training needs the
    /// value again for the weights that it was multiplied by.
    Joint,
}

/// What changes an elementwise kernel's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What is applied.
    pub function: Function,
    /// What is computed of it.
    pub pass: Pass,
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
    /// Whether dropout follows.
    pub dropout: bool,
    /// Where operands share memory.
    pub places: Places,
}

impl Variant {
    /// The plain variant: vectors, separate tensors, no bias, constants for parameters.
    pub fn new(function: Function, pass: Pass, element: Element) -> Self {
        Self {
            function,
            pass,
            element,
            lanes: Lanes::Four,
            layout: Layout::Separate,
            bias: false,
            learned: false,
            dropout: false,
            places: Places::default(),
        }
    }

    fn gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }

    /// Visible name: operation, function, kind and what is unusual.
    pub fn name(&self) -> String {
        let pass = match self.pass {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Joint => "joint",
        };
        let mut name = format!("elementwise/{pass}/{}/{}x{}", self.function.name(), self.element, self.lanes.count());
        if self.gated() {
            name = format!("{name}/{}", self.layout.name());
        }
        let options =
            [(self.bias, "bias"), (self.learned, "learned"), (self.dropout, "dropout"), (!self.places.in_place.is_empty(), "in_place")];
        for (flag, text) in options {
            if flag {
                name = format!("{name}/{text}");
            }
        }
        name
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
        let operand::Rendered { bindings, accessors: mut rendered, storage, .. } = operand::render(&operands, &self.places.shared);
        if self.bias {
            inputs.iter().for_each(|input| rendered += &bias(input, self.lanes));
        }
        if self.learned {
            rendered += LEARNED;
        }
        rendered += &self.function.value(self.learned);
        if self.pass != Pass::Forward {
            rendered += &self.function.grad(self.learned);
            if self.gated() {
                rendered += &self.function.gated_grad(self.learned);
            }
        }
        (bindings, rendered, storage)
    }

    fn operation(&self) -> &'static str {
        match (self.gated(), self.pass) {
            (false, Pass::Forward) => include_str!("../../shaders/elementwise/forward.wgsl"),
            (false, Pass::Backward) => include_str!("../../shaders/elementwise/backward.wgsl"),
            (false, Pass::Joint) => include_str!("../../shaders/elementwise/joint.wgsl"),
            (true, Pass::Forward) => include_str!("../../shaders/elementwise/gated.wgsl"),
            (true, Pass::Backward) => include_str!("../../shaders/elementwise/gated_backward.wgsl"),
            (true, Pass::Joint) => include_str!("../../shaders/elementwise/gated_joint.wgsl"),
        }
    }

    /// What a unit is, then the value and the gradient of one, as far as they are used.
    fn lanes_files(&self) -> impl Iterator<Item = &'static str> {
        let one = self.lanes == Lanes::One;
        let value = match one {
            true => include_str!("../../shaders/elementwise/lanes/value1.wgsl"),
            false => include_str!("../../shaders/elementwise/lanes/value4.wgsl"),
        };
        let grad = match (one, self.gated()) {
            (true, false) => include_str!("../../shaders/elementwise/lanes/grad1.wgsl"),
            (true, true) => include_str!("../../shaders/elementwise/lanes/gated_grad1.wgsl"),
            (false, false) => include_str!("../../shaders/elementwise/lanes/grad4.wgsl"),
            (false, true) => include_str!("../../shaders/elementwise/lanes/gated_grad4.wgsl"),
        };
        let value = (self.pass != Pass::Backward).then_some(value);
        let grad = (self.pass != Pass::Forward).then_some(grad);
        [unit_file(self.lanes)].into_iter().chain(value).chain(grad)
    }
}

impl Mapped for Variant {
    fn operands(&self) -> Vec<Operand> {
        let (gate, up) = match self.layout {
            Layout::Separate => (Index::Flat, Index::Flat),
            Layout::Packed | Layout::Swapped => (Index::Half, Index::Half),
            Layout::Interleaved => (Index::Even, Index::Odd),
        };
        let read = |name| Operand::new(name, self.element, self.lanes, false);
        let write = |name| Operand::new(name, self.element, self.lanes, true);
        let mut operands = match (self.gated(), self.pass) {
            (false, Pass::Forward) => vec![read("x"), write("y")],
            (false, Pass::Backward) => vec![read("x"), read("dy"), write("dx")],
            (false, Pass::Joint) => vec![write("x"), write("dy")],
            (true, Pass::Forward) => vec![read("gate").at(gate), read("up").at(up), write("y")],
            (true, Pass::Backward) => {
                vec![read("gate").at(gate), read("up").at(up), read("dy"), write("dgate").at(gate), write("dup").at(up)]
            }
            (true, Pass::Joint) => vec![write("gate"), write("up"), write("dy")],
        };
        if self.layout != Layout::Separate {
            for operand in operands.iter_mut().filter(|o| o.name == "dup") {
                operand.binding = "dgate".into();
            }
        }
        if self.bias {
            let biases: &[&'static str] = if self.gated() { &["bias_gate", "bias_up"] } else { &["bias_x"] };
            operands.extend(biases.iter().map(|name| Operand::table(name, self.element)));
        }
        if self.learned {
            operands.push(Operand::table("learned", Element::F32));
        }
        if self.dropout {
            operands.push(Operand::table("counter", Element::F32).counting());
        }
        self.places.bind(&mut operands);
        operands
    }

    fn layout(&self) -> Layout {
        self.layout
    }

    fn constants(&self) -> [[f32; 4]; 5] {
        pack_constants(&self.function.constants())
    }

    fn lanes(&self) -> Lanes {
        self.lanes
    }

    fn with_lanes(self, lanes: Lanes) -> Self {
        Self { lanes, ..self }
    }

    fn places(&mut self) -> &mut Places {
        &mut self.places
    }

    fn kernel(&self) -> Kernel {
        let (bindings, mut rendered, storage) = self.render(self.operands());
        if self.pass == Pass::Backward && self.gated() {
            rendered += &operand::store_pair(self.element, self.layout, self.lanes, 3);
        }
        let mut files = vec![MAP, CHANNEL, self.operation()];
        files.extend(self.lanes_files());
        files.extend(dropout_files(self.dropout, self.lanes));
        files.extend(function_files(&self.function, self.pass != Pass::Forward));
        files.extend(storage);
        Kernel::link(self.name(), self.function.is_custom(), bindings, &files, &rendered)
    }
}

/// The loop of every kernel that computes its units one by one.
pub(super) const MAP: &str = include_str!("../../shaders/elementwise/map.wgsl");

pub(super) const CHANNEL: &str = include_str!("../../shaders/elementwise/channel.wgsl");

/// `learned(k, e)`: learnable parameter k for element e, from a table [k][channel] or, where it is shared, [k].
pub(super) const LEARNED: &str = "fn learned(k: u32, e: u32) -> f32 {\n    \
     return load_learned(k * params.learned_channels + channel(e) % params.learned_channels);\n}\n";

/// `alias Lanes`: what a unit is.
pub(super) const fn unit_file(lanes: Lanes) -> &'static str {
    match lanes {
        Lanes::One => include_str!("../../shaders/elementwise/lanes/unit1.wgsl"),
        _ => include_str!("../../shaders/elementwise/lanes/unit4.wgsl"),
    }
}

/// `kept_lanes(i)` and `masked(v, kept)`: dropout, or none.
pub(super) fn dropout_files(dropout: bool, lanes: Lanes) -> impl Iterator<Item = &'static str> {
    let file = if dropout { include_str!("../../shaders/dropout/dropout.wgsl") } else { include_str!("../../shaders/dropout/none.wgsl") };
    let random = dropout.then(|| random_files(lanes));
    std::iter::once(file).chain(random.into_iter().flatten())
}

/// `unit_words(i, count)`: random words by counter and key.
pub(super) const fn random_files(lanes: Lanes) -> [&'static str; 2] {
    let words = match lanes {
        Lanes::One => include_str!("../../shaders/random/words1.wgsl"),
        _ => include_str!("../../shaders/random/words4.wgsl"),
    };
    [include_str!("../../shaders/random/philox.wgsl"), words]
}

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
