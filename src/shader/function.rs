//! The one-line functions that give a kernel its activation or gate: `value`, `grad`, `gated_grad`, `add_terms`.

use std::fmt::Write as _;

use crate::activation::Activation;
use crate::custom::{MAX_PARAMETERS, expression_function};
use crate::gate::Gate;
use crate::names::UnknownName;

/// What a kernel applies to each element.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// An activation of x.
    Activation(Activation),
    /// A gate over (gate, up).
    Gate(Gate),
}

impl From<Gate> for Function {
    fn from(gate: Gate) -> Self {
        Self::Gate(gate)
    }
}

impl From<Activation> for Function {
    fn from(activation: Activation) -> Self {
        Self::Activation(activation)
    }
}

impl Function {
    /// The activation, else the gate, of this name.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest known names of both.
    pub fn parse(name: &str) -> Result<Self, UnknownName> {
        let gate = |_| Gate::parse(name).map(Self::Gate);
        let unknown = |_| UnknownName::new("activation or gate", name, Activation::names().chain(Gate::names()));
        Activation::parse(name).map(Self::Activation).or_else(gate).map_err(unknown)
    }

    /// Constants as the kernels receive them.
    pub fn constants(&self) -> Vec<f64> {
        match self {
            Self::Activation(activation) => activation.constants(),
            Self::Gate(gate) => gate.constants(),
        }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Activation(activation) => activation.name(),
            Self::Gate(gate) => gate.name(),
        }
    }

    /// The activation inside; `None` for a gate that is more than one.
    pub fn activation(&self) -> Option<&Activation> {
        match self {
            Self::Activation(activation) | Self::Gate(Gate::Of(activation)) => Some(activation),
            Self::Gate(_) => None,
        }
    }

    /// Whether it is a user's own text.
    pub fn is_custom(&self) -> bool {
        matches!(self.activation(), Some(Activation::Custom(_)))
    }

    /// How many parameters can be learned.
    pub fn learnable_len(&self) -> usize {
        self.activation().map_or(0, Activation::learnable_len)
    }

    /// `fn value(x, m, e)`: m * f(x) for element number e; of a gate, m is up. With `learned`, the learnable
    /// parameters come from `learned(k, e)` instead of the constants.
    pub(super) fn value(&self, learned: bool) -> String {
        let body = match self.activation() {
            Some(Activation::Custom(custom)) => return self.custom("value", custom.value()),
            Some(activation) => format!("{}_value(x, m{})", spec_name(activation), self.arguments(learned)),
            None => format!("{}_value(x, m{})", self.name(), self.arguments(learned)),
        };
        total("value", &body)
    }

    /// `fn grad(x, m, e)`: m * f'(x).
    pub(super) fn grad(&self, learned: bool) -> String {
        let body = match self.activation() {
            Some(Activation::Custom(custom)) => return self.custom("grad", custom.derivative()),
            Some(activation) => format!("{}_grad(x, m{})", spec_name(activation), self.arguments(learned)),
            None => return String::new(),
        };
        total("grad", &body)
    }

    /// `fn gated_grad(g, u, dy, e)`: gradients for gate and for up.
    pub(super) fn gated_grad(&self, learned: bool) -> String {
        let body = match self.activation() {
            // Each is total already; the gradient for up does not depend on up.
            Some(_) => "    return vec2<f32>(grad(g, dy * u, e), value(g, dy, e));\n".into(),
            None => format!(
                "    let d = {}_grad(g, u, dy{});\n    \
                 return select(select(d, vec2<f32>(u), is_nan(u)), vec2<f32>(g), is_nan(g));\n",
                self.name(),
                self.arguments(learned)
            ),
        };
        format!("fn gated_grad(g: f32, u: f32, dy: f32, e: u32) -> vec2<f32> {{\n{body}}}\n")
    }

    /// `fn learned_grad(x, m, e)`: m times the derivative for each learnable parameter.
    pub(super) fn learned_grad(&self, learned: bool) -> String {
        let count = self.learnable_len();
        let Some(activation) = self.activation().filter(|_| count > 0) else { return String::new() };
        let total: Vec<_> = (0..count).map(|k| format!("select(select(d[{k}], m, is_nan(m)), x, is_nan(x))")).collect();
        format!(
            "fn learned_grad(x: f32, m: f32, e: u32) -> array<f32, {count}> {{\n    let d = {}_learned(x, m{});\n    \
             return array<f32, {count}>({});\n}}\n",
            spec_name(activation),
            self.arguments(learned),
            total.join(", ")
        )
    }

    /// A user's expression in a function of its own, and the one that calls it.
    fn custom(&self, name: &str, text: &str) -> String {
        let names = self.activation().map(Activation::parameters).unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let values: String = (0..names.len()).map(|k| format!(", {}.x", constant(k))).collect();
        let inner = format!("custom_{name}");
        expression_function(&inner, text, &names) + &total(name, &format!("m * {inner}(x{values})"))
    }

    fn arguments(&self, learned: bool) -> String {
        let learnable = if learned { self.learnable_len() } else { 0 };
        let mut text = String::new();
        for k in 0..self.constants().len() {
            let _ = if k < learnable { write!(text, ", vec2<f32>(learned({k}u, e), 0.0)") } else { write!(text, ", {}", constant(k)) };
        }
        text
    }
}

/// NaN in, NaN out, whatever the formula's comparisons do with it.
fn total(name: &str, body: &str) -> String {
    format!(
        "fn {name}(x: f32, m: f32, e: u32) -> f32 {{\n    let r = {body};\n    \
         return select(select(r, m, is_nan(m)), x, is_nan(x));\n}}\n"
    )
}

/// Constant number k of `params`, as (high, low).
fn constant(k: usize) -> String {
    format!("params.constants[{}].{}", k / 2, ["xy", "zw"][k % 2])
}

fn spec_name(activation: &Activation) -> &'static str {
    activation.spec().map_or("", |spec| spec.name)
}

/// Constants as the uniform block holds them: each f64 as two f32.
pub fn pack_constants(values: &[f64]) -> [[f32; 4]; 5] {
    let mut packed = [[0.0; 4]; 5];
    for (k, value) in values.iter().enumerate().take(MAX_PARAMETERS) {
        let high = *value as f32;
        let low = if high.is_finite() { (*value - f64::from(high)) as f32 } else { 0.0 };
        packed[k / 2][k % 2 * 2] = high;
        packed[k / 2][k % 2 * 2 + 1] = low;
    }
    packed
}
