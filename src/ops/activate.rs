//! Activations: forward, backward, and gradients of learned parameters and bias.

use super::checks::{self, Channels};
use super::dropout::{self, Counter, Dropout};
use super::elementwise::{Call, Given};
use super::reduce;
use crate::activation::Activation;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, Tensor};
use crate::shader::elementwise::{Pass, Variant};
use crate::shader::function::Function;
use crate::shader::reduce::{Inputs, Terms};

/// An activation on a device.
#[derive(Debug, Clone)]
pub struct Activate {
    gpu: Gpu,
    function: Function,
    dropout: Option<(Dropout, Counter)>,
}

/// Operands of y = f(x + bias). y may be x.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// Input.
    pub x: &'a Tensor,
    /// Output, of x's shape and kind.
    pub y: &'a Tensor,
    /// One value for each place in x's last dimension, of x's kind.
    pub bias: Option<&'a Tensor>,
    /// Learnable parameters, f32, `[parameters]` or `[parameters, channels]`; see [`Activation::learnable`].
    pub parameters: Option<&'a Tensor>,
}

/// Operands of dx = dy * f'(x + bias). dx may be dy or x.
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a> {
    /// Input of the forward pass.
    pub x: &'a Tensor,
    /// Gradient of the output.
    pub dy: &'a Tensor,
    /// Gradient of the input, which is written.
    pub dx: &'a Tensor,
    /// As in [`Forward`].
    pub bias: Option<&'a Tensor>,
    /// As in [`Forward`].
    pub parameters: Option<&'a Tensor>,
}

impl Activate {
    /// The activation, for tensors on `gpu`.
    pub fn new(gpu: &Gpu, activation: impl Into<Activation>) -> Self {
        Self { gpu: gpu.clone(), function: Function::Activation(activation.into()), dropout: None }
    }

    /// The same, followed by dropout: y = mask * f(x) / (1 - probability), and its gradients.
    #[must_use]
    pub fn with_dropout(self, dropout: Dropout, counter: &Counter) -> Self {
        Self { dropout: Some((dropout, counter.clone())), ..self }
    }

    fn call<'a>(&'a self, x: &'a Tensor, bias: Option<&'a Tensor>, parameters: Option<&'a Tensor>) -> Result<(Call<'a>, Variant), Error> {
        checks::parameters(&self.function)?;
        let mut variant = Variant::new(self.function.clone(), Pass::Forward, x.element());
        let mut operands = vec![Given { name: "x", tensor: x, half: 0 }];
        if let Some(bias) = bias {
            bias.expect_element("bias", x.element())?;
            bias.expect_shape("bias", &[x.rows_cols().1])?;
            operands.push(Given { name: "bias_x", tensor: bias, half: 0 });
            variant.bias = true;
        }
        let mut channels = Channels::NONE;
        if let Some(table) = parameters {
            channels = checks::table_channels(&self.function, table, x.shape())?;
            operands.push(Given { name: "learned", tensor: table, half: 0 });
            variant.learned = true;
        }
        let random = dropout::operand(self.dropout.as_ref(), &mut operands)?;
        variant.dropout = self.dropout.is_some();
        Ok((Call { operands, len: x.len() as u64, width: x.len().max(1) as u64, channels, random }, variant))
    }

    /// y = f(x + bias).
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which f is undefined.
    pub fn forward(&self, args: Forward<'_>) -> Result<Plan, Error> {
        let Forward { x, y, bias, parameters } = args;
        y.expect_element("y", x.element())?;
        y.expect_shape("y", x.shape())?;
        let (mut call, variant) = self.call(x, bias, parameters)?;
        call.operands.push(Given { name: "y", tensor: y, half: 0 });
        call.plan(&self.gpu, variant)
    }

    /// dx = dy * f'(x + bias).
    ///
    /// # Errors
    /// As [`Activate::forward`].
    pub fn backward(&self, args: Backward<'_>) -> Result<Plan, Error> {
        let Backward { x, dy, dx, bias, parameters } = args;
        for (operand, tensor) in [("dy", dy), ("dx", dx)] {
            tensor.expect_element(operand, x.element())?;
            tensor.expect_shape(operand, x.shape())?;
        }
        let (mut call, mut variant) = self.call(x, bias, parameters)?;
        variant.pass = Pass::Backward;
        call.operands.extend([Given { name: "dy", tensor: dy, half: 0 }, Given { name: "dx", tensor: dx, half: 0 }]);
        call.plan(&self.gpu, variant)
    }

    /// dx = dy * f'(x) over x, and f(x) over dy: what training needs of a layer's hidden, in one dispatch.
    pub(crate) fn joint(&self, x: &Tensor, dy: &Tensor, parameters: Option<&Tensor>) -> Result<Plan, Error> {
        let (mut call, mut variant) = self.call(x, None, parameters)?;
        dy.expect_element("dy", x.element())?;
        dy.expect_shape("dy", x.shape())?;
        variant.pass = Pass::Joint;
        call.operands.push(Given { name: "dy", tensor: dy, half: 0 });
        call.plan(&self.gpu, variant)
    }

    /// Gradient of the learned parameters into `dparameters` (f32, shaped like `parameters`), the same bits on every run.
    ///
    /// # Errors
    /// As [`Activate::forward`]; [`Error::Unsupported`] where nothing can be learned.
    pub fn parameter_gradient(&self, args: Backward<'_>, dparameters: &Tensor) -> Result<Plan, Error> {
        self.add_parameter_gradient(args, dparameters, false)
    }

    /// The same, added to what is there where `accumulate` is set.
    ///
    /// # Errors
    /// As [`Activate::parameter_gradient`].
    pub fn add_parameter_gradient(&self, args: Backward<'_>, dparameters: &Tensor, accumulate: bool) -> Result<Plan, Error> {
        let table = args.parameters.ok_or(Error::Unsupported { function: self.function.name().into(), what: "`parameters` given" })?;
        dparameters.expect_element("dparameters", crate::Element::F32)?;
        dparameters.expect_shape("dparameters", table.shape())?;
        self.sums(args, Terms::Learned, dparameters, accumulate)
    }

    /// Gradient of the bias into `dbias` (f32, as many values as the bias), the same bits on every run.
    ///
    /// # Errors
    /// As [`Activate::forward`]; [`Error::Unsupported`] where no bias is given.
    pub fn bias_gradient(&self, args: Backward<'_>, dbias: &Tensor) -> Result<Plan, Error> {
        let bias = args.bias.ok_or(Error::Unsupported { function: self.function.name().into(), what: "`bias` given" })?;
        dbias.expect_element("dbias", crate::Element::F32)?;
        dbias.expect_shape("dbias", bias.shape())?;
        self.sums(args, Terms::Bias, dbias, false)
    }

    fn sums(&self, args: Backward<'_>, terms: fn(Inputs) -> Terms, output: &Tensor, accumulate: bool) -> Result<Plan, Error> {
        let Backward { x, dy, bias, parameters, .. } = args;
        dy.expect_element("dy", x.element())?;
        dy.expect_shape("dy", x.shape())?;
        let (mut call, variant) = self.call(x, bias, parameters)?;
        call.operands.push(Given { name: "dy", tensor: dy, half: 0 });
        reduce::plan(&self.gpu, &call, &terms(variant.into()), &[output], accumulate)
    }
}
