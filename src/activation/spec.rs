//! What a row of the table says, and the macro that turns rows into an enum and its data.

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

pub(super) const fn ulp(forward: f64, backward: f64) -> Accuracy {
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
            pub(super) fn index(&self) -> Option<usize> {
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
            pub(super) fn with_defaults(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)* => Some(Self::$variant $({ $($parameter: $default),+ })?),)+
                    _ => None,
                }
            }

            /// Sets one parameter; false where the activation has none of that name.
            pub(super) fn set(&mut self, name: &str, value: f64) -> bool {
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

pub(super) use activations;
