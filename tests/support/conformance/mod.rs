//! What holds on every adapter, a browser's among them: every activation and gate, forward and backward, and feed-forward
//! layers with their gradients. Cases are values, so that whoever runs them can say how far it got; checking waits by `await`,
//! as a browser must.

mod activations;
mod gates;
mod layers;

use std::fmt;

use ffwd::shader::matmul::Loop;
use ffwd::{Activation, Element, Gate, Gpu, Layout};

use super::layer::Function;

/// What is checked at once.
#[derive(Clone)]
pub enum Case {
    /// Values, or derivatives, of so many inputs.
    Activation { activation: Activation, backward: bool, element: Element, len: usize },
    /// Product and gradients with gate and up apart, and the same bits in these layouts.
    Gate { gate: Gate, element: Element, rows: usize, d: usize, layouts: &'static [Layout] },
    /// A layer: kinds of x and of the weights, sizes (tokens, d_model, d_ff), and which loops of a device compute it.
    Layer { function: Function, kinds: [Element; 2], bias: bool, sizes: [usize; 3], loops: fn(&Gpu) -> Vec<Loop> },
    /// A layer's gradients: kinds of x, the weights, dy, dx and the weights' gradients.
    Gradients { function: Function, kinds: [Element; 5], bias: bool, sizes: [usize; 3] },
}

impl Case {
    /// Every case.
    pub fn all() -> Vec<Self> {
        [
            activations::every(),
            activations::sizes(),
            gates::layouts(),
            gates::kinds(),
            gates::widths(),
            layers::every(),
            layers::gradients(),
        ]
        .concat()
    }

    /// Runs it on a device.
    pub async fn check(&self, gpu: &Gpu) -> Result<(), String> {
        match self {
            Self::Activation { activation, backward, element, len } => activations::check(gpu, activation, *backward, *element, *len).await,
            Self::Gate { gate, element, rows, d, layouts } => gates::check(gpu, gate, *element, [*rows, *d], layouts).await,
            Self::Layer { function, kinds, bias, sizes, loops } => layers::check(gpu, function, *kinds, *bias, *sizes, &loops(gpu)).await,
            Self::Gradients { function, kinds, bias, sizes } => layers::check_gradients(gpu, function, *kinds, *bias, *sizes).await,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activation { activation, backward, element, len } => {
                write!(f, "{activation} {} {element} x {len}", if *backward { "backward" } else { "forward" })
            }
            Self::Gate { gate, element, rows, d, .. } => write!(f, "{gate} {element} {rows} x {d}"),
            Self::Layer { function, kinds: [x, w], bias, sizes, .. } => write!(f, "{function} {sizes:?} {x} by {w}, bias {bias}"),
            Self::Gradients { function, kinds, bias, sizes } => write!(f, "gradients of {function} {sizes:?} {kinds:?}, bias {bias}"),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub mod native {
    //! The same on this machine's devices.

    use super::Case;
    pub use super::activations::{every, sizes};
    pub use super::gates::{kinds, layouts, widths};
    pub use super::layers::{functions, gradients, loops, mixed, written};

    /// Fails a test where a case fails on a device, naming all that do.
    pub fn hold(cases: &[Case]) {
        assert!(!cases.is_empty());
        let mut faults = Vec::new();
        for device in crate::support::devices() {
            for case in cases {
                if let Err(fault) = pollster::block_on(case.check(&device.gpu)) {
                    faults.push(format!("{case} on {}: {fault}", device.name));
                }
            }
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }
}
