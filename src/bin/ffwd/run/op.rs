//! What OP means.

use ffwd::names::{UnknownName, normalise};
use ffwd::{Activation, Gate, Layout};

use crate::error::{CliError, message};

/// PyTorch's GLU: `glu`, with the gate in the second half.
const TORCH_GLU: &str = "torch_glu";

/// A function, and for a gate where its two inputs lie.
#[derive(Debug, Clone)]
pub enum Op {
    /// Of x.
    Activation(Activation),
    /// Of gate and up.
    Gate(Gate, Layout),
}

impl Op {
    /// The function called `name`. An activation's name means its gate where `layout` is given, or the input `has` gate and up.
    pub fn parse(name: &str, layout: Option<Layout>, has: impl Fn(&str) -> bool) -> Result<Self, CliError> {
        let separate = has("gate") && has("up");
        let joint = |layout| if separate || (has("gate") && !has("x")) { Layout::Separate } else { layout };
        let wanted = normalise(name);
        if wanted == TORCH_GLU {
            return Ok(Self::Gate(Gate::parse("glu")?, layout.unwrap_or_else(|| joint(Layout::Swapped))));
        }
        if Gate::names().any(|gate| gate == wanted) {
            return Ok(Self::Gate(Gate::parse(&wanted)?, layout.unwrap_or_else(|| joint(Layout::Packed))));
        }
        let Ok(activation) = Activation::parse(&wanted) else {
            let names = Gate::names().chain(Activation::names()).chain([TORCH_GLU]);
            return Err(UnknownName::new("op", name, names).into());
        };
        match layout {
            Some(layout) => Ok(Self::Gate(activation.into(), layout)),
            None if separate => Ok(Self::Gate(activation.into(), Layout::Separate)),
            None => Ok(Self::Activation(activation)),
        }
    }

    /// The activation, which holds the learnable parameters; `None` for a gate that is more than one.
    pub fn activation(&self) -> Option<&Activation> {
        match self {
            Self::Activation(activation) | Self::Gate(Gate::Of(activation), _) => Some(activation),
            Self::Gate(..) => None,
        }
    }

    /// Name for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Activation(activation) => activation.name(),
            Self::Gate(gate, _) => gate.name(),
        }
    }

    /// Sets one parameter.
    pub fn set(&mut self, parameter: &str, value: f64) -> Result<(), CliError> {
        let changed = match self.clone() {
            Self::Activation(activation) => activation.with(parameter, value).map(Self::Activation),
            Self::Gate(gate, layout) => gate.with(parameter, value).map(|gate| Self::Gate(gate, layout)),
        };
        let unknown = match changed {
            Ok(changed) => {
                *self = changed;
                return Ok(());
            }
            Err(unknown) => unknown,
        };
        let has = match self.activation() {
            Some(activation) => activation.parameters().into_iter().map(|(name, _)| name).collect(),
            None => unknown.nearest,
        };
        let has = if has.is_empty() { "none".into() } else { has.join(", ") };
        message(format!("`{}` has no parameter `{parameter}`; it has: {has}", self.name()))
    }
}
