//! Checks that the operations share.

use crate::custom::MAX_PARAMETERS;
use crate::error::Error;
use crate::gpu::Tensor;
use crate::shader::function::Function;

/// Refuses parameters with which a function is not defined.
pub(super) fn parameters(function: &Function) -> Result<(), Error> {
    let constants = function.constants();
    let named = match function {
        Function::Activation(activation) => activation.parameters(),
        Function::Gate(gate) => gate.parameters(),
    };
    // A derived constant is the first parameter's fault.
    let refuse = |k: usize, reason| {
        let (parameter, value) = named.get(k).or(named.first()).cloned().unwrap_or_default();
        Error::Parameter { function: function.name().into(), parameter, value, reason }
    };
    if constants.len() > MAX_PARAMETERS {
        return Err(Error::Limit { what: "parameters", required: constants.len() as u64, allowed: MAX_PARAMETERS as u64 });
    }
    // An infinite limit is a limit; an infinite slope, or one that f32 cannot hold, is nothing.
    let limit = |name: &str| name.starts_with("threshold") || ["value", "min_val", "max_val", "lambd", "limit"].contains(&name);
    let representable = |v: f64| v.abs() <= f64::from(f32::MAX);
    for (k, value) in constants.iter().enumerate() {
        let may_be_infinite = named.get(k).is_some_and(|(name, _)| limit(name)) && value.is_infinite();
        if value.is_nan() {
            return Err(refuse(k, "is not a number"));
        }
        if !representable(*value) && !may_be_infinite {
            let reason = match (k < named.len(), value.is_infinite()) {
                (true, true) => "is infinite",
                (true, false) => "is more than f32 can hold",
                (false, _) => "makes a derived constant infinite in f32",
            };
            return Err(refuse(k, reason));
        }
    }
    let of = |wanted: &str| named.iter().position(|(name, _)| name == wanted);
    if let (Some(low), Some(high)) = (of("min_val"), of("max_val"))
        && named[low].1 > named[high].1
    {
        return Err(refuse(low, "exceeds `max_val`"));
    }
    match named.iter().position(|(name, value)| (name == "lambd" || name == "limit") && *value < 0.0) {
        Some(k) => Err(refuse(k, "must not be negative")),
        None => Ok(()),
    }
}

/// Refuses a share that is not at least 0 and below 1.
pub(crate) fn below_one(function: &str, parameter: &str, value: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Parameter { function: function.into(), parameter: parameter.into(), value, reason: "is not in 0 .. 1, 1 excluded" })
}

/// The channels of a tensor: how many, and how many elements lie side by side in one. The last dimension of
/// up to two, else dimension 1 (PyTorch's convention).
pub(super) fn channels(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [len] | [_, len] => (*len, 1),
        [_, channels, rest @ ..] => (*channels, rest.iter().product()),
    }
}

/// Channels of learned parameters: of their table, of x, and how many elements of x lie side by side in one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channels {
    pub table: usize,
    pub channels: usize,
    pub inner: usize,
}

impl Channels {
    /// Without learned parameters.
    pub(super) const NONE: Self = Self { table: 1, channels: 1, inner: 1 };
}

/// How many channels a table of `learnable` parameters has: 1, or as many as x. A 1-D x is seen as [-1, channels].
pub(super) fn table_channels(function: &Function, table: &Tensor, shape: &[usize]) -> Result<Channels, Error> {
    table.expect_element("parameters", crate::Element::F32)?;
    let learnable = function.learnable_len();
    if learnable == 0 {
        return Err(Error::Unsupported { function: function.name().into(), what: "learnable parameter" });
    }
    let (channels, inner) = channels(shape);
    let given = table.len() / learnable;
    let viewed = shape.len() == 1 && given > 0 && channels.is_multiple_of(given);
    if !table.len().is_multiple_of(learnable) || given == 0 || !(given == 1 || given == channels || viewed) {
        let expected = format!("{learnable} x 1 or {learnable} x {channels} values (channels of x {shape:?})");
        return Err(Error::Shape { operand: "parameters", expected, actual: table.shape().to_vec() });
    }
    Ok(Channels { table: given, channels: if viewed { given } else { channels }, inner })
}

/// How an output and an input that share a buffer may be used.
pub(super) enum Sharing {
    /// Different buffers.
    Apart,
    /// Exactly the same elements.
    InPlace,
    /// Different parts of one buffer.
    Beside,
}

/// Compares an input with an output.
pub(super) fn sharing(input: (&'static str, &Tensor), output: (&'static str, &Tensor), same_index: bool) -> Result<Sharing, Error> {
    if input.1.buffer() != output.1.buffer() {
        return Ok(Sharing::Apart);
    }
    if same_index && input.1.same_elements(output.1) {
        return Ok(Sharing::InPlace);
    }
    if input.1.overlaps(output.1) {
        return Err(Error::Alias { input: input.0, output: output.0 });
    }
    Ok(Sharing::Beside)
}
