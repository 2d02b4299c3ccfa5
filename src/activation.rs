//! The vocabulary: every activation, its parameters, its names and its accuracy, as plain data.
//!
//! One row of the table makes an enum variant, its entry in [`SPECS`], its spelling on the
//! command line and its place in every table and test. The maths is elsewhere: `shaders/activations.wgsl`
//! and `shaders/derivatives.wgsl` for the GPU, [`crate::oracle`] for the truth.

use std::sync::Arc;

use crate::custom::Custom;
use crate::names::{self, UnknownName};

/// What is known about one activation besides its maths.
#[derive(Debug)]
pub struct Spec {
    /// Name in the field's spelling; also the name of the WGSL function.
    pub name: &'static str,
    /// Other names that mean the same function with the default parameters (Hugging Face's mostly).
    pub aliases: &'static [&'static str],
    /// The definition, as a reader would write it.
    pub formula: &'static str,
    /// Where the definition comes from.
    pub source: &'static str,
    /// Parameters in order, with their defaults.
    pub parameters: &'static [Parameter],
    /// Groups of parameters that can be learned: name of the tensor and how many parameters it holds.
    /// They are the first parameters, in order.
    pub learnable: &'static [(&'static str, usize)],
    /// Constants that the kernels need beside the parameters, computed once in f64.
    pub derived: fn(&[f64]) -> Vec<f64>,
    /// The promise about errors.
    pub accuracy: Accuracy,
    /// Differences from PyTorch, with the reason; empty where there is none.
    pub differs: &'static str,
}

/// A named scalar parameter of an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Name as PyTorch has it.
    pub name: &'static str,
    /// Value used where none is given.
    pub default: f64,
}

/// The accuracy contract of one activation; see [`crate::accuracy`] for how it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Largest error of the value in units in the last place of f32.
    pub forward: f64,
    /// Largest error of the derivative in units in the last place of f32.
    pub backward: f64,
}

const fn ulp(forward: f64, backward: f64) -> Accuracy {
    Accuracy { forward, backward }
}

macro_rules! activations {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident = $name:literal $(| $alias:literal)*
        $({ $($parameter:ident: $default:expr),+ })?
        $(learns $($group:literal $count:literal),+;)?
        $(derives $derive:expr;)?
        formula $formula:literal; source $source:literal; accuracy $accuracy:expr;
        $(differs $differs:literal;)?
    )+) => {
        /// An activation with its parameters; applied to every element on its own.
        ///
        /// Parameters are `f64` and reach the kernels as two `f32`, so that `1.702` means 1.702.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Activation {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\n`", $formula, "`\n\nSource: ", $source)]
                $variant $({ $(#[allow(missing_docs, reason = "the formula names it")] $parameter: f64),+ })?,
            )+
            /// A user's own expression; see [`Custom`].
            Custom(Arc<Custom>),
        }

        /// Every built-in activation, in the order of the tables.
        pub static SPECS: &[Spec] = &[$(Spec {
            name: $name,
            aliases: &[$($alias),*],
            formula: $formula,
            source: $source,
            parameters: &[$($(Parameter { name: stringify!($parameter), default: $default }),+)?],
            learnable: &[$($(($group, $count)),+)?],
            derived: { let _none: fn(&[f64]) -> Vec<f64> = |_| Vec::new(); $(let _none: fn(&[f64]) -> Vec<f64> = $derive;)? _none },
            accuracy: $accuracy,
            differs: { let _none = ""; $(let _none = $differs;)? _none },
        }),+];

        impl Activation {
            fn index(&self) -> Option<usize> {
                #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "one index per variant")]
                enum Index { $($variant),+ }
                match self {
                    $(Self::$variant $({ $($parameter: _),+ })? => Some(Index::$variant as usize),)+
                    Self::Custom(_) => None,
                }
            }

            /// Parameter values in the order of [`Activation::parameters`].
            pub fn values(&self) -> Vec<f64> {
                match self {
                    $(Self::$variant $({ $($parameter),+ })? => vec![$($(*$parameter),+)?],)+
                    Self::Custom(custom) => custom.parameters().iter().map(|(_, value)| *value).collect(),
                }
            }

            /// The activation called `name` (ours or an alias), with default parameters.
            fn with_defaults(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)* => Some(Self::$variant $({ $($parameter: $default),+ })?),)+
                    _ => None,
                }
            }

            /// Sets one parameter; false where the activation has none of that name.
            fn set(&mut self, name: &str, value: f64) -> bool {
                match self {
                    $(Self::$variant $({ $($parameter),+ })? => {
                        $($(if name == stringify!($parameter) { *$parameter = value; return true; })+)?
                        false
                    })+
                    Self::Custom(custom) => Arc::make_mut(custom).set(name, value),
                }
            }
        }
    };
}

activations! {
    /// The input itself.
    Identity = "identity" | "linear"
    formula "x"; source "torch.nn.Identity"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch passes dy on): NaN in, NaN out";

    /// Rectified linear unit; the derivative at 0 is 0.
    Relu = "relu"
    formula "max(x, 0)"; source "Nair & Hinton 2010; torch.nn.ReLU"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x or dy is NaN (PyTorch: dy, and 0 on the dead side)";

    /// ReLU clipped at 6; the derivative is 0 at both kinks.
    Relu6 = "relu6"
    formula "min(max(x, 0), 6)"; source "Howard et al. 2017, arXiv:1704.04861; torch.nn.ReLU6"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch: 0 or 1, depending on its code path)";

    /// Squared ReLU (Primer).
    ReluSquared = "relu_squared" | "relu2"
    formula "max(x, 0)^2"; source "So et al. 2021, arXiv:2109.08668; transformers ReLUSquaredActivation"; accuracy ulp(0.5, 0.5);

    /// ReLU with a fixed slope below 0, which is also the derivative at 0.
    LeakyRelu = "leaky_relu" { negative_slope: 0.01 }
    formula "x > 0 ? x : negative_slope * x"; source "Maas et al. 2013; torch.nn.LeakyReLU"; accuracy ulp(1.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: the slope)";

    /// ReLU with a learned slope below 0, shared or one for each channel.
    PRelu = "prelu" { slope: 0.25 } learns "slope" 1;
    formula "x > 0 ? x : slope[c] * x"; source "He et al. 2015, arXiv:1502.01852; torch.nn.PReLU"; accuracy ulp(1.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: the slope)";

    /// Randomised leaky ReLU as it is evaluated after training: the mean slope.
    RRelu = "rrelu" { lower: 0.125, upper: 1.0 / 3.0 } derives |p| vec![0.5 * (p[0] + p[1])];
    formula "x > 0 ? x : (lower + upper) / 2 * x"; source "Xu et al. 2015, arXiv:1505.00853; torch.nn.RReLU in eval mode"; accuracy ulp(1.0, 1.0);

    /// Passes what exceeds a threshold and replaces the rest. PyTorch requires both parameters; here they default to 0.
    Threshold = "threshold" { threshold: 0.0, value: 0.0 }
    formula "x > threshold ? x : value"; source "torch.nn.Threshold"; accuracy ulp(0.5, 0.0);

    /// ReLU with a threshold: what does not exceed it is 0.
    FatRelu = "fatrelu" { threshold: 0.01 }
    formula "x > threshold ? x : 0"; source "Kurtz et al. 2020 (FATReLU); vLLM fatrelu_and_mul"; accuracy ulp(0.0, 0.0);

    /// Exponential linear unit; the derivative at 0 is alpha.
    Elu = "elu" { alpha: 1.0 } learns "alpha" 1;
    formula "x > 0 ? x : alpha * (e^x - 1)"; source "Clevert et al. 2016, arXiv:1511.07289; torch.nn.ELU"; accuracy ulp(2.5, 4.0);

    /// Self-normalising ELU with fixed constants; the derivative at 0 is that of the left side.
    Selu = "selu"
    formula "scale * (x > 0 ? x : alpha * (e^x - 1))"; source "Klambauer et al. 2017, arXiv:1706.02515; torch.nn.SELU"; accuracy ulp(3.0, 4.0);

    /// ELU made continuously differentiable for every alpha.
    Celu = "celu" { alpha: 1.0 } derives |p| vec![1.0 / p[0]];
    formula "max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0)"; source "Barron 2017, arXiv:1704.07483; torch.nn.CELU"; accuracy ulp(3.0, 4.0);

    /// Logistic function.
    Sigmoid = "sigmoid"
    formula "1 / (1 + e^-x)"; source "torch.sigmoid"; accuracy ulp(4.0, 6.0);

    /// Logarithm of the logistic function.
    LogSigmoid = "logsigmoid"
    formula "-log(1 + e^-x)"; source "torch.nn.LogSigmoid"; accuracy ulp(4.0, 4.0);
    differs "-0 where e^-x vanishes, the side of the limit (PyTorch: +0)";

    /// Hyperbolic tangent.
    Tanh = "tanh"
    formula "tanh(x)"; source "torch.tanh"; accuracy ulp(4.0, 6.0);

    /// What tanh leaves over.
    TanhShrink = "tanhshrink"
    formula "x - tanh(x)"; source "torch.nn.Tanhshrink"; accuracy ulp(4.0, 8.0);

    /// A sigmoid without an exponential.
    SoftSign = "softsign"
    formula "x / (1 + |x|)"; source "Turian et al. 2009; torch.nn.Softsign"; accuracy ulp(3.0, 6.0);
    differs "+-1 at +-inf with a derivative of 0, the limits (PyTorch: NaN)";

    /// A smooth ReLU; the identity once beta * x exceeds the threshold.
    SoftPlus = "softplus" { beta: 1.0, threshold: 20.0 } derives |p| vec![1.0 / p[0]];
    formula "beta * x > threshold ? x : log(1 + e^(beta * x)) / beta"; source "Dugas et al. 2001; torch.nn.Softplus"; accuracy ulp(4.0, 4.0);

    /// Square root of softplus, a router's score (no threshold).
    SqrtSoftPlus = "sqrtsoftplus"
    formula "sqrt(log(1 + e^x))"; source "transformers SqrtSoftplusActivation"; accuracy ulp(4.0, 6.0);

    /// Clamp; the derivative is 1 strictly inside.
    HardTanh = "hardtanh" { min_val: -1.0, max_val: 1.0 }
    formula "clamp(x, min_val, max_val)"; source "Collobert 2004; torch.nn.Hardtanh"; accuracy ulp(0.5, 0.0);
    differs "dx is NaN where x is NaN (PyTorch: 0 or 1, depending on its code path)";

    /// A piecewise linear sigmoid with slope 1/6.
    HardSigmoid = "hardsigmoid" | "hard_sigmoid"
    formula "clamp(x / 6 + 1/2, 0, 1)"; source "torch.nn.Hardsigmoid (Keras before 3 and ONNX use slope 0.2)"; accuracy ulp(2.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: 0)";

    /// Swish with the piecewise linear sigmoid; the derivative is 0 at -3 and 1 at 3.
    HardSwish = "hardswish" | "hard_swish"
    formula "x * clamp(x + 3, 0, 6) / 6"; source "Howard et al. 2019, arXiv:1905.02244; torch.nn.Hardswish"; accuracy ulp(2.5, 4.0);
    differs "-0 at -inf (PyTorch: NaN); x itself above 3, where PyTorch's x * 6 / 6 overflows from 5.7e37 on";

    /// Shrinks towards 0 by lambd.
    SoftShrink = "softshrink" { lambd: 0.5 }
    formula "x > lambd ? x - lambd : x < -lambd ? x + lambd : 0"; source "torch.nn.Softshrink"; accuracy ulp(1.0, 0.0);

    /// 0 inside [-lambd, lambd], x outside.
    HardShrink = "hardshrink" { lambd: 0.5 }
    formula "|x| > lambd ? x : 0"; source "torch.nn.Hardshrink"; accuracy ulp(0.0, 0.0);

    /// Sigmoid linear unit: Swish with beta 1.
    Silu = "silu"
    formula "x / (1 + e^-x)"; source "Elfwing et al. 2017, arXiv:1702.03118; torch.nn.SiLU"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN)";

    /// Self-gated unit with a slope that can be fixed or learned, shared or one for each channel.
    Swish = "swish" | "swish_channel" { beta: 1.0 } learns "beta" 1;
    formula "x / (1 + e^(-beta * x))"; source "Ramachandran et al. 2017, arXiv:1710.05941"; accuracy ulp(4.0, 8.0);
    differs "for beta > 0, -0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where a derivative vanishes from below (PyTorch: +0)";

    /// x times the Gaussian distribution function, exactly.
    Gelu = "gelu" | "gelu_python"
    formula "x * Phi(x) = x / 2 * erfc(-x / sqrt(2))"; source "Hendrycks & Gimpel 2016, arXiv:1606.08415; torch.nn.GELU"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// The tanh form of GELU (GPT-2's `gelu_new`, ggml's GELU).
    GeluTanh = "gelu_tanh" | "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate"
    formula "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))"; source "Hendrycks & Gimpel 2016; torch.nn.GELU('tanh')"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, and derivatives of -0 and 1 for huge |x|, the limits (PyTorch: NaN, and +0 at -100)";

    /// The sigmoid form of GELU (CLIP).
    QuickGelu = "quick_gelu"
    formula "x / (1 + e^(-1.702 * x))"; source "Hendrycks & Gimpel 2016; transformers QuickGELUActivation"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// GELU clipped to [-10, 10], for quantisation.
    Gelu10 = "gelu_10"
    formula "clamp(gelu(x), -10, 10)"; source "Wu et al. 2020, arXiv:2004.09602; transformers ClippedGELUActivation"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, the limit (PyTorch: NaN)";

    /// A Gaussian distribution function shifted and scaled to resemble relu_squared (MEGA).
    Laplace = "laplace"
    formula "(1 + erf((x - 0.707107) / (0.282095 * sqrt(2)))) / 2"; source "Ma et al. 2022, arXiv:2209.10655; transformers LaplaceActivation"; accuracy ulp(4.0, 4.0);

    /// x times the tanh of softplus (no threshold).
    Mish = "mish"
    formula "x * tanh(log(1 + e^x))"; source "Misra 2019, arXiv:1908.08681; torch.nn.Mish"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// Expanded integral of ELU. alpha_p and alpha_n are the coefficients themselves: Hugging Face stores
    /// their inverse softplus (and alpha_n less beta).
    Xielu = "xielu" { alpha_p: 0.8, alpha_n: 0.8, beta: 0.5, eps: -1e-6 } learns "alpha_p" 1, "alpha_n" 1;
    formula "x > 0 ? alpha_p * x^2 + beta * x : alpha_n * (e^min(x, eps) - 1 - x) + beta * x"; source "Huang & Schlag 2024, arXiv:2411.13010; transformers XIELUActivation"; accuracy ulp(4.0, 8.0);

    /// Pade activation unit of order (5, 4) with a safe denominator ("version B"). The coefficients, by default those that
    /// approximate leaky ReLU, are meant to be learned, shared or one set for each channel.
    Rational = "rational" {
        a0: 0.033558156341314316, a1: 0.5050058960914612, a2: 1.6534696817398071,
        a3: 2.010050058364868, a4: 0.9319195747375488, a5: 0.15242646634578705,
        b1: 4.8128316848305985e-05, b2: 3.980247974395752, b3: 1.5837587852729484e-05, b4: 0.301833838224411
    } learns "a" 6, "b" 4;
    formula "(a0 + a1 x + ... + a5 x^5) / (1 + |b1 x + b2 x^2 + b3 x^3 + b4 x^4|)"; source "Molina et al. 2019, arXiv:1907.06732; rational-activations"; accuracy ulp(4.0, 8.0);
    differs "finite for |x| above 5.8e7, where plain f32 evaluation overflows to NaN";
}

impl Activation {
    /// The activation called `name`: ours, PyTorch's or Hugging Face's (`hidden_act`), in any case, with default parameters.
    ///
    /// # Errors
    /// [`UnknownName`] with the nearest known names.
    pub fn parse(name: &str) -> Result<Self, UnknownName> {
        let wanted = names::normalise(name);
        Self::with_defaults(&wanted).ok_or_else(|| UnknownName::new("activation", name, Self::names()))
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
