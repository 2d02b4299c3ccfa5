//! Gradients of learned parameters and of biases: sums over the elements of a channel, in two stages.

use super::elementwise;
use super::function::Function;
use super::operand::{Lanes, Operand};
use super::{Access, Binding, Kernel};
use crate::element::Element;
use crate::gate::Layout;

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Gradients of the learnable parameters.
    Learned,
    /// Gradient of the bias; of a gate: of its two biases.
    Bias,
}

/// What changes the first stage's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What was applied.
    pub function: Function,
    /// Kind of x (gate, up) and dy.
    pub element: Element,
    /// Where gate and up lie.
    pub layout: Layout,
    /// Which sums are wanted.
    pub terms: Terms,
    /// Whether a bias was added.
    pub bias: bool,
    /// Whether learnable parameters come from a tensor.
    pub learned: bool,
}

impl Variant {
    fn gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }

    /// Sums for each channel.
    pub fn sums(&self) -> usize {
        match self.terms {
            Terms::Learned => self.function.learnable_len(),
            Terms::Bias if self.gated() => 2,
            Terms::Bias => 1,
        }
    }

    /// Visible name.
    pub fn name(&self) -> String {
        let name = format!("reduce/partials/{}/{}/{}", self.function.name(), self.element, self.layout.name());
        format!("{name}/{}", if self.terms == Terms::Bias { "bias" } else { "learned" })
    }

    /// The elementwise kernel that knows how to read the inputs, with bias and learned parameters.
    fn inputs(&self) -> elementwise::Variant {
        let mut inputs = elementwise::Variant::new(self.function.clone(), true, self.element);
        inputs.layout = self.layout;
        inputs.bias = self.bias;
        inputs.learned = self.learned;
        inputs.lanes = Lanes::One;
        inputs
    }

    /// The tensors in the order of their offsets.
    pub fn operands(&self) -> Vec<Operand> {
        self.inputs().operands().into_iter().filter(|operand| !operand.written).collect()
    }

    /// Links the first stage.
    pub fn partials(&self) -> Kernel {
        let (mut bindings, mut rendered, storage) = self.inputs().render(self.operands());
        bindings.push(Binding::storage("partials_data", Access::ReadWrite, "array<f32>"));
        rendered += &self.add_terms();
        let mut files = vec![include_str!("../../shaders/reduce/parameter_partials.wgsl"), elementwise::CHANNEL];
        files.extend(elementwise::function_files(&self.function, true));
        files.extend(storage);
        Kernel::link(self.name(), self.function.is_custom(), bindings, &files, &rendered)
    }

    fn add_terms(&self) -> String {
        let (x, m) = if self.gated() { ("load_gate(i)", "load_dy(i) * load_up(i)") } else { ("load_x(i)", "load_dy(i)") };
        let terms = match self.terms {
            Terms::Learned => format!("learned_grad({x}, {m}, i)"),
            Terms::Bias if self.gated() => "gated_grad(load_gate(i), load_up(i), load_dy(i), i)".into(),
            Terms::Bias => format!("array<f32, 1>(grad({x}, {m}, i))"),
        };
        let sums = self.sums();
        let mut body = format!("    let d = {terms};\n");
        for k in 0..sums {
            body += &format!("    (*sums)[{k}] += d[{k}];\n");
        }
        let learned_grad = if self.terms == Terms::Learned { self.function.learned_grad(self.learned) } else { String::new() };
        format!("const TERMS = {sums}u;\nfn add_terms(i: u32, sums: ptr<function, array<f32, {sums}>>) {{\n{body}}}\n{learned_grad}")
    }
}

/// The second stage, the same for every first one.
pub fn sums() -> Kernel {
    let bindings = vec![
        Binding::params(),
        Binding::storage("partials_data", Access::Read, "array<f32>"),
        Binding::storage("sums_data", Access::ReadWrite, "array<f32>"),
    ];
    Kernel::link("reduce/sums".into(), false, bindings, &[include_str!("../../shaders/reduce/parameter_sums.wgsl")], "")
}
