//! Gates: forward, backward, and gradients of learned parameters and biases.

use super::checks::{self, Channels};
use super::dropout::{self, Counter, Dropout};
use super::elementwise::{Call, Given};
use super::reduce;
use crate::error::Error;
use crate::gate::{Gate, Layout};
use crate::gpu::{Gpu, Plan, Tensor};
use crate::shader::elementwise::{Pass, Variant};
use crate::shader::function::Function;
use crate::shader::reduce::{Inputs, Terms};

/// A gate on a device.
#[derive(Debug, Clone)]
pub struct Gated {
    gpu: Gpu,
    function: Function,
    dropout: Option<(Dropout, Counter)>,
}

/// Gate and up, each `[.., d]`, or both in one tensor `[.., 2 d]`.
#[derive(Debug, Clone, Copy)]
pub enum GateInput<'a> {
    /// Two tensors.
    Separate {
        /// The half that the activation is applied to.
        gate: &'a Tensor,
        /// The half that it multiplies.
        up: &'a Tensor,
    },
    /// One tensor.
    Joint {
        /// Rows of 2 d.
        x: &'a Tensor,
        /// How they are divided; not [`Layout::Separate`].
        layout: Layout,
    },
}

/// Where the gradients of gate and up go; the same form as the input.
pub type GateGrads<'a> = GateInput<'a>;

/// Operands of y = f(gate + bias) * (up + bias_up). y may be gate or up where they are separate.
#[derive(Debug, Clone, Copy)]
pub struct GatedForward<'a> {
    /// Gate and up.
    pub input: GateInput<'a>,
    /// Output, `[.., d]`.
    pub y: &'a Tensor,
    /// Biases of gate and of up, each `[d]` and of the input's kind.
    pub bias: Option<(&'a Tensor, &'a Tensor)>,
    /// Learnable parameters of the activation; see [`super::Forward::parameters`].
    pub parameters: Option<&'a Tensor>,
}

/// Operands of the gradients. They may overwrite the input they belong to.
#[derive(Debug, Clone, Copy)]
pub struct GatedBackward<'a> {
    /// Gate and up.
    pub input: GateInput<'a>,
    /// Gradient of the output.
    pub dy: &'a Tensor,
    /// Gradients, which are written.
    pub grads: GateGrads<'a>,
    /// As in [`GatedForward`].
    pub bias: Option<(&'a Tensor, &'a Tensor)>,
    /// As in [`GatedForward`].
    pub parameters: Option<&'a Tensor>,
}

impl<'a> GateInput<'a> {
    fn layout(&self) -> Layout {
        match self {
            Self::Separate { .. } => Layout::Separate,
            Self::Joint { layout, .. } => *layout,
        }
    }

    /// Both halves, checked against each other; `d` is the width of one.
    fn halves(&self, names: [&'static str; 2]) -> Result<([Given<'a>; 2], Vec<usize>), Error> {
        match *self {
            Self::Separate { gate, up } => {
                up.expect_element(names[1], gate.element())?;
                up.expect_shape(names[1], gate.shape())?;
                Ok((
                    [Given { name: names[0], tensor: gate, half: 0 }, Given { name: names[1], tensor: up, half: 0 }],
                    gate.shape().to_vec(),
                ))
            }
            Self::Joint { x, layout } => {
                let (_, cols) = x.rows_cols();
                if x.shape().is_empty() || !cols.is_multiple_of(2) || layout == Layout::Separate {
                    let expected = "a last dimension of gate and up together (even), in a joint layout".into();
                    return Err(Error::Shape { operand: "x", expected, actual: x.shape().to_vec() });
                }
                let d = cols / 2;
                let starts = match layout {
                    Layout::Swapped => [d as u64, 0],
                    Layout::Interleaved => [0, 1],
                    _ => [0, d as u64],
                };
                let mut shape = x.shape().to_vec();
                if let Some(last) = shape.last_mut() {
                    *last = d;
                }
                let halves = [Given { name: names[0], tensor: x, half: starts[0] }, Given { name: names[1], tensor: x, half: starts[1] }];
                Ok((halves, shape))
            }
        }
    }
}

impl Gated {
    /// The gate, for tensors on `gpu`.
    pub fn new(gpu: &Gpu, gate: impl Into<Gate>) -> Self {
        Self { gpu: gpu.clone(), function: Function::Gate(gate.into()), dropout: None }
    }

    /// The same, followed by dropout: y = mask * f(gate) * up / (1 - probability), and its gradients. Its count is one storage
    /// buffer more: gradients of separate tensors with biases and learned parameters then take nine, and WebGPU grants eight.
    #[must_use]
    pub fn with_dropout(self, dropout: Dropout, counter: &Counter) -> Self {
        Self { dropout: Some((dropout, counter.clone())), ..self }
    }

    #[allow(clippy::type_complexity, reason = "one private helper")]
    fn call<'a>(
        &'a self,
        input: GateInput<'a>,
        bias: Option<(&'a Tensor, &'a Tensor)>,
        parameters: Option<&'a Tensor>,
    ) -> Result<(Call<'a>, Variant, Vec<usize>), Error> {
        let (halves, shape) = input.halves(["gate", "up"])?;
        let element = halves[0].tensor.element();
        checks::parameters(&self.function)?;
        let mut variant = Variant::new(self.function.clone(), Pass::Forward, element);
        variant.layout = input.layout();
        let mut operands = halves.to_vec();
        let d = shape.last().copied().unwrap_or(1);
        if let Some((gate, up)) = bias {
            for (operand, name, tensor) in [("bias of gate", "bias_gate", gate), ("bias of up", "bias_up", up)] {
                tensor.expect_element(operand, element)?;
                tensor.expect_shape(operand, &[d])?;
                operands.push(Given { name, tensor, half: 0 });
            }
            variant.bias = true;
        }
        let mut channels = Channels::NONE;
        if let Some(table) = parameters {
            channels = checks::table_channels(&self.function, table, &shape)?;
            operands.push(Given { name: "learned", tensor: table, half: 0 });
            variant.learned = true;
        }
        let len = shape.iter().product::<usize>() as u64;
        let random = dropout::operand(self.dropout.as_ref(), &mut operands)?;
        variant.dropout = self.dropout.is_some();
        Ok((Call { operands, len, width: d.max(1) as u64, channels, random }, variant, shape))
    }

    /// y = f(gate + bias) * (up + bias_up), or the gate's own product.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which f is undefined.
    pub fn forward(&self, args: GatedForward<'_>) -> Result<Plan, Error> {
        let GatedForward { input, y, bias, parameters } = args;
        let (mut call, variant, shape) = self.call(input, bias, parameters)?;
        y.expect_element("y", variant.element)?;
        y.expect_shape("y", &shape)?;
        call.operands.push(Given { name: "y", tensor: y, half: 0 });
        call.plan(&self.gpu, variant)
    }

    /// The gradients of gate and up in one pass.
    ///
    /// # Errors
    /// As [`Gated::forward`].
    pub fn backward(&self, args: GatedBackward<'_>) -> Result<Plan, Error> {
        let GatedBackward { input, dy, grads, bias, parameters } = args;
        let (mut call, mut variant, shape) = self.call(input, bias, parameters)?;
        variant.pass = Pass::Backward;
        dy.expect_element("dy", variant.element)?;
        dy.expect_shape("dy", &shape)?;
        let (outputs, grads_shape) = grads.halves(["dgate", "dup"])?;
        outputs[0].tensor.expect_element("dgate", variant.element)?;
        if grads_shape != shape || grads.layout() != input.layout() {
            let expected = format!("{} halves of shape {shape:?}", input.layout().name());
            return Err(Error::Shape { operand: "dgate", expected, actual: grads_shape });
        }
        call.operands.push(Given { name: "dy", tensor: dy, half: 0 });
        call.operands.extend(outputs);
        call.plan(&self.gpu, variant)
    }

    /// The gradients of gate and up over them, and the product over dy: what training needs of a layer's hidden, in one
    /// dispatch.
    pub(crate) fn joint(&self, [gate, up]: [&Tensor; 2], dy: &Tensor, parameters: Option<&Tensor>) -> Result<Plan, Error> {
        let (mut call, mut variant, shape) = self.call(GateInput::Separate { gate, up }, None, parameters)?;
        dy.expect_element("dy", variant.element)?;
        dy.expect_shape("dy", &shape)?;
        variant.pass = Pass::Joint;
        call.operands.push(Given { name: "dy", tensor: dy, half: 0 });
        call.plan(&self.gpu, variant)
    }

    /// Gradient of the learned parameters into `dparameters` (f32, shaped like `parameters`), the same bits on every run.
    ///
    /// # Errors
    /// As [`Gated::forward`]; [`Error::Unsupported`] where nothing can be learned.
    pub fn parameter_gradient(&self, args: GatedBackward<'_>, dparameters: &Tensor) -> Result<Plan, Error> {
        self.add_parameter_gradient(args, dparameters, false)
    }

    /// The same, added to what is there where `accumulate` is set.
    ///
    /// # Errors
    /// As [`Gated::parameter_gradient`].
    pub fn add_parameter_gradient(&self, args: GatedBackward<'_>, dparameters: &Tensor, accumulate: bool) -> Result<Plan, Error> {
        let table = args.parameters.ok_or(Error::Unsupported { function: self.function.name().into(), what: "`parameters` given" })?;
        dparameters.expect_element("dparameters", crate::Element::F32)?;
        dparameters.expect_shape("dparameters", table.shape())?;
        self.sums(args, Terms::Learned, &[dparameters], accumulate)
    }

    /// Gradients of the biases of gate and up (f32, `[d]` each), the same bits on every run.
    ///
    /// # Errors
    /// As [`Gated::forward`]; [`Error::Unsupported`] where no bias is given.
    pub fn bias_gradient(&self, args: GatedBackward<'_>, dbias: (&Tensor, &Tensor)) -> Result<Plan, Error> {
        let bias = args.bias.ok_or(Error::Unsupported { function: self.function.name().into(), what: "`bias` given" })?;
        for (operand, tensor) in [("dbias of gate", dbias.0), ("dbias of up", dbias.1)] {
            tensor.expect_element(operand, crate::Element::F32)?;
            tensor.expect_shape(operand, bias.0.shape())?;
        }
        if dbias.0.overlaps(dbias.1) {
            return Err(Error::Alias { input: "dbias of gate", output: "dbias of up" });
        }
        self.sums(args, Terms::Bias, &[dbias.0, dbias.1], false)
    }

    fn sums(&self, args: GatedBackward<'_>, terms: fn(Inputs) -> Terms, outputs: &[&Tensor], accumulate: bool) -> Result<Plan, Error> {
        let (mut call, variant, shape) = self.call(args.input, args.bias, args.parameters)?;
        args.dy.expect_element("dy", variant.element)?;
        args.dy.expect_shape("dy", &shape)?;
        call.operands.push(Given { name: "dy", tensor: args.dy, half: 0 });
        reduce::plan(&self.gpu, &call, &terms(variant.into()), outputs, accumulate)
    }
}
