//! The vocabulary: every activation, its parameters, its names and its accuracy, as plain data.
//!
//! A row of the table makes an enum variant, its entry in [`SPECS`], its spelling on the command line and its place in
//! every test. The maths is elsewhere: `shaders/activations.wgsl` and `shaders/derivatives.wgsl` for the GPU,
//! [`crate::oracle`] for the truth.

mod spec;
mod table;

pub use spec::{Accuracy, Parameter, Spec};
pub use table::{Activation, SPECS};

use crate::names::{self, UnknownName};

impl Activation {
    /// The activation called `name`: ours, PyTorch's or Hugging Face's (`hidden_act`), in any case, with default parameters.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest known names.
    pub fn parse(name: &str) -> Result<Self, UnknownName> {
        let known = Self::names().find(|known| names::same(known, name));
        known.and_then(Self::with_defaults).ok_or_else(|| UnknownName::new("activation", name, Self::names()))
    }

    /// Every name that [`Activation::parse`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SPECS.iter().flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()))
    }

    /// Every built-in activation with its default parameters, in the order of [`SPECS`].
    pub fn all() -> impl Iterator<Item = Self> {
        SPECS.iter().filter_map(|spec| Self::with_defaults(spec.name))
    }

    /// The same activation with one parameter changed.
    ///
    /// # Errors
    /// [`UnknownName`] where it has no such parameter.
    pub fn with(mut self, parameter: &str, value: f64) -> Result<Self, UnknownName> {
        if self.set(parameter, value) {
            return Ok(self);
        }
        Err(UnknownName::new("parameter", parameter, self.parameters().iter().map(|(name, _)| name.as_str())))
    }

    /// The table's entry; `None` for a custom activation.
    pub fn spec(&self) -> Option<&'static Spec> {
        self.index().map(|index| &SPECS[index])
    }

    /// Name in the field's spelling, or the custom one's own.
    pub fn name(&self) -> &str {
        match self {
            Self::Custom(custom) => custom.name(),
            _ => self.spec().map_or("", |spec| spec.name),
        }
    }

    /// Names and values of the parameters.
    pub fn parameters(&self) -> Vec<(String, f64)> {
        match self {
            Self::Custom(custom) => custom.parameters().to_vec(),
            _ => {
                let names = self.spec().map_or(&[][..], |spec| spec.parameters);
                names.iter().map(|p| p.name.to_owned()).zip(self.values()).collect()
            }
        }
    }

    /// Parameters followed by the constants derived from them, as the kernels receive them.
    pub fn constants(&self) -> Vec<f64> {
        let mut values = self.values();
        if let Some(spec) = self.spec() {
            values.extend((spec.derived)(&values));
        }
        values
    }

    /// Learnable groups: name of the tensor and how many parameters it holds; they come first among the parameters.
    pub fn learnable(&self) -> &'static [(&'static str, usize)] {
        self.spec().map_or(&[], |spec| spec.learnable)
    }

    /// How many parameters can be learned.
    pub fn learnable_len(&self) -> usize {
        self.learnable().iter().map(|(_, count)| count).sum()
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        let spec = self.spec();
        let changed = self
            .parameters()
            .into_iter()
            .enumerate()
            .filter(|(i, (_, value))| spec.is_none_or(|spec| spec.parameters[*i].default != *value));
        let changed: Vec<_> = changed.map(|(_, (name, value))| format!("{name}={value}")).collect();
        if changed.is_empty() { Ok(()) } else { write!(f, "({})", changed.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_own_row() {
        for (index, spec) in SPECS.iter().enumerate() {
            for name in std::iter::once(&spec.name).chain(spec.aliases) {
                assert_eq!(Activation::parse(name).unwrap().index(), Some(index), "{name}");
            }
            let learned: usize = spec.learnable.iter().map(|(_, count)| count).sum();
            assert!(learned <= spec.parameters.len(), "{}", spec.name);
        }
    }

    #[test]
    fn hugging_face_names_parse() {
        // The keys of transformers.activations.ACT2CLS.
        for name in [
            "gelu",
            "gelu_10",
            "gelu_fast",
            "gelu_new",
            "gelu_python",
            "gelu_pytorch_tanh",
            "gelu_python_tanh",
            "gelu_accurate",
            "hardswish",
            "laplace",
            "leaky_relu",
            "linear",
            "mish",
            "quick_gelu",
            "relu",
            "relu2",
            "relu6",
            "sigmoid",
            "silu",
            "sqrtsoftplus",
            "swish",
            "tanh",
            "prelu",
            "xielu",
        ] {
            assert!(Activation::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn unknown_names_list_the_nearest() {
        let error = Activation::parse("gellu").unwrap_err().to_string();
        assert!(error.contains("gelu"), "{error}");
        assert!(Activation::Relu.with("slope", 1.0).is_err());
        assert_eq!(Activation::parse("ELU").unwrap().with("alpha", 0.7).unwrap().to_string(), "elu(alpha=0.7)");
    }
}
