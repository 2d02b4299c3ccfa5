//! What can go wrong on the way to the GPU and back.

use thiserror::Error;

use crate::custom::CustomError;
use crate::element::Element;
use crate::names::UnknownName;

/// An error of this crate's GPU layers. Every variant leaves the operands as they were.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter, or none that matches what was asked for.
    #[error(
        "no GPU adapter matches {wanted}; available: {available}. Without a GPU, install a software Vulkan driver: scripts/with-adapter does"
    )]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// The adapter refused to make a device.
    #[error("adapter `{adapter}` refused a device: {reason}")]
    Device {
        /// Its name.
        adapter: String,
        /// What it said.
        reason: String,
    },
    /// An operand has another shape than the operation needs.
    #[error("`{operand}` has shape {actual:?}; {expected} is needed")]
    Shape {
        /// Which operand.
        operand: &'static str,
        /// What is needed, in words and numbers.
        expected: String,
        /// Its shape.
        actual: Vec<usize>,
    },
    /// An operand has another kind of element than the operation needs.
    #[error("`{operand}` holds {actual}; {expected} is needed")]
    Kind {
        /// Which operand.
        operand: &'static str,
        /// What is needed.
        expected: Element,
        /// What it holds.
        actual: Element,
    },
    /// A buffer is too small for the tensor that is said to lie in it.
    #[error("`{operand}` holds {actual} bytes; shape {shape:?} of {element} at element {offset} needs {required}")]
    TooSmall {
        /// Which operand.
        operand: &'static str,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// Its kind.
        element: Element,
        /// Its first element.
        offset: u64,
        /// Bytes needed.
        required: u64,
        /// Bytes there.
        actual: u64,
    },
    /// A buffer lacks a usage.
    #[error("`{operand}` lacks buffer usage {missing}")]
    Usage {
        /// Which operand.
        operand: &'static str,
        /// The missing usages.
        missing: String,
    },
    /// Two operands overlap in a way that is not sound.
    #[error("`{input}` and `{output}` overlap; in place means exactly the same elements")]
    Alias {
        /// What is read (or written too).
        input: &'static str,
        /// What is written.
        output: &'static str,
    },
    /// More than the device or the kernels can address.
    #[error("`{what}` needs {required}, the limit is {allowed}")]
    Limit {
        /// What is too large, with its unit.
        what: &'static str,
        /// How much is needed.
        required: u64,
        /// How much is allowed.
        allowed: u64,
    },
    /// A parameter with which the function is not defined.
    #[error("`{function}`: parameter `{parameter}` is {value}, which {reason}")]
    Parameter {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
        /// Its value.
        value: f64,
        /// Why not.
        reason: &'static str,
    },
    /// The operation does not exist for this function.
    #[error("`{function}` has no {what}")]
    Unsupported {
        /// The function.
        function: String,
        /// What it lacks.
        what: &'static str,
    },
    /// Training went wrong in a way that no further step mends.
    #[error("training failed at step {step}: {reason}; seen in `{tensor}`")]
    Training {
        /// The step, from 0.
        step: u32,
        /// The first tensor, in the network's order, that shows it.
        tensor: String,
        /// What it shows.
        reason: String,
    },
    /// The device ran out of memory.
    #[error("out of GPU memory: {requested} bytes for `{what}`")]
    OutOfMemory {
        /// What it was for.
        what: String,
        /// Bytes asked for.
        requested: u64,
    },
    /// wgpu or the driver refused something that should work; a bug here or there.
    #[error("{what}: {reason}")]
    Gpu {
        /// What was being done.
        what: String,
        /// What wgpu said.
        reason: String,
    },
    /// A name is not known.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// A custom expression was refused.
    #[error(transparent)]
    Custom(#[from] CustomError),
}
