//! Sums over the elements of a channel, or over all of them, in two stages: gradients of learned parameters and of biases,
//! norms, losses and counts.

use super::elementwise::{self, Mapped as _, Pass};
use super::function::Function;
use super::operand::{self, Lanes, Operand};
use super::{Access, Binding, Kernel};
use crate::element::Element;
use crate::gate::Layout;

/// What is summed.
#[derive(Debug, Clone, PartialEq)]
pub enum Terms {
    /// Gradients of the learnable parameters.
    Learned(Inputs),
    /// Gradient of the bias; of a gate: of its two biases.
    Bias(Inputs),
    /// x^2.
    Squares(Element),
    /// (x - target)^2.
    SquaredDifferences {
        /// Kind of x.
        x: Element,
        /// Kind of the target.
        target: Element,
    },
    /// x.
    Values(Element),
    /// 1 where x is not 0.
    NonZeros(Element),
    /// Of the values that are not 0: 1 for each, and 1 for each that is smaller than the smallest normal f16.
    Underflows(Element),
}

/// How the inputs of a function are read for its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// What was applied.
    pub function: Function,
    /// Kind of x (gate, up) and dy.
    pub element: Element,
    /// Where gate and up lie.
    pub layout: Layout,
    /// Whether a bias was added.
    pub bias: bool,
    /// Whether learnable parameters come from a tensor.
    pub learned: bool,
    /// Whether dropout followed.
    pub dropout: bool,
}

impl Inputs {
    fn gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }

    /// The elementwise kernel that knows how to read them.
    fn variant(&self) -> elementwise::Variant {
        let mut variant = elementwise::Variant::new(self.function.clone(), Pass::Backward, self.element);
        variant.layout = self.layout;
        variant.bias = self.bias;
        variant.learned = self.learned;
        variant.dropout = self.dropout;
        variant.lanes = Lanes::One;
        variant
    }
}

impl From<elementwise::Variant> for Inputs {
    fn from(variant: elementwise::Variant) -> Self {
        let elementwise::Variant { function, element, layout, bias, learned, dropout, .. } = variant;
        Self { function, element, layout, bias, learned, dropout }
    }
}

impl Terms {
    /// Sums for each channel.
    pub fn sums(&self) -> usize {
        match self {
            Self::Learned(inputs) => inputs.function.learnable_len(),
            Self::Bias(inputs) if inputs.gated() => 2,
            Self::Underflows(_) => 2,
            _ => 1,
        }
    }

    /// The function whose gradients are summed.
    pub fn function(&self) -> Option<&Function> {
        match self {
            Self::Learned(inputs) | Self::Bias(inputs) => Some(&inputs.function),
            _ => None,
        }
    }

    /// Visible name.
    pub fn name(&self) -> String {
        let of = |inputs: &Inputs| format!("{}/{}/{}", inputs.function.name(), inputs.element, inputs.layout.name());
        let name = match self {
            Self::Learned(inputs) => format!("{}/learned", of(inputs)),
            Self::Bias(inputs) => format!("{}/bias", of(inputs)),
            Self::Squares(x) => format!("squares/{x}"),
            Self::SquaredDifferences { x, target } => format!("squared_differences/{x}/{target}"),
            Self::Values(x) => format!("values/{x}"),
            Self::NonZeros(x) => format!("non_zeros/{x}"),
            Self::Underflows(x) => format!("underflows/{x}"),
        };
        format!("reduce/partials/{name}")
    }

    /// The tensors in the order of their offsets.
    pub fn operands(&self) -> Vec<Operand> {
        let read = |name, element| Operand::new(name, element, Lanes::One, false);
        match self {
            Self::Learned(inputs) | Self::Bias(inputs) => {
                inputs.variant().operands().into_iter().filter(|operand| !operand.written).collect()
            }
            Self::SquaredDifferences { x, target } => vec![read("x", *x), read("target", *target)],
            Self::Squares(x) | Self::Values(x) | Self::NonZeros(x) | Self::Underflows(x) => vec![read("x", *x)],
        }
    }

    /// Links the first stage.
    pub fn partials(&self) -> Kernel {
        let mut files = vec![include_str!("../../shaders/reduce/partials.wgsl")];
        let (mut bindings, mut rendered, storage) = match self {
            Self::Learned(inputs) | Self::Bias(inputs) => {
                files.extend([elementwise::CHANNEL, elementwise::unit_file(Lanes::One)]);
                files.extend(elementwise::dropout_files(inputs.dropout, Lanes::One));
                files.extend(elementwise::function_files(&inputs.function, true));
                inputs.variant().render(self.operands())
            }
            _ => {
                let operand::Rendered { bindings, accessors, storage, .. } = operand::render(&self.operands(), &[]);
                (bindings, accessors, storage)
            }
        };
        bindings.push(Binding::storage("partials_data", Access::ReadWrite, "array<f32>"));
        rendered += &self.add_terms();
        files.extend(storage);
        Kernel::link(self.name(), self.function().is_some_and(Function::is_custom), bindings, &files, &rendered)
    }

    fn add_terms(&self) -> String {
        let dy = "masked(load_dy(i), kept_lanes(i))";
        let terms = match self {
            Self::Learned(inputs) if inputs.gated() => format!("learned_grad(load_gate(i), {dy} * load_up(i), i)"),
            Self::Learned(_) => format!("learned_grad(load_x(i), {dy}, i)"),
            Self::Bias(inputs) if inputs.gated() => format!("gated_grad(load_gate(i), load_up(i), {dy}, i)"),
            Self::Bias(_) => format!("array<f32, 1>(grad(load_x(i), {dy}, i))"),
            Self::Squares(_) => "array<f32, 1>(load_x(i) * load_x(i))".into(),
            Self::SquaredDifferences { .. } => "array<f32, 1>((load_x(i) - load_target(i)) * (load_x(i) - load_target(i)))".into(),
            Self::Values(_) => "array<f32, 1>(load_x(i))".into(),
            Self::NonZeros(_) => "array<f32, 1>(select(1.0, 0.0, load_x(i) == 0.0))".into(),
            Self::Underflows(_) => {
                let some = "load_x(i) != 0.0";
                format!("array<f32, 2>(select(0.0, 1.0, {some}), select(0.0, 1.0, {some} && abs(load_x(i)) < 0x1p-14))")
            }
        };
        let sums = self.sums();
        let mut body = format!("    let d = {terms};\n");
        for k in 0..sums {
            body += &format!("    (*sums)[{k}] += d[{k}];\n");
        }
        let learned_grad = match self {
            Self::Learned(inputs) => inputs.function.learned_grad(inputs.learned),
            _ => String::new(),
        };
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
    Kernel::link("reduce/sums".into(), false, bindings, &[include_str!("../../shaders/reduce/sums.wgsl")], "")
}
