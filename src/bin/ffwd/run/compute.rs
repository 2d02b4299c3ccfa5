//! From tensors of a file, over the device, to tensors of a file.

use ffwd::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward};
use ffwd::weights::{HostTensor, Tensors};
use ffwd::{Activation, Gate, Gpu, Layout, Tensor};

use super::learned::Learned;
use super::op::Op;
use crate::error::CliError;
use crate::files::{download, upload};

type Named = Vec<(String, HostTensor)>;

/// The tensors that an operation reads.
#[derive(Debug)]
pub struct Inputs {
    /// x, or gate where it is apart.
    first: HostTensor,
    up: Option<HostTensor>,
    dy: Option<HostTensor>,
}

impl Inputs {
    /// Reads what `op` needs.
    pub fn read(op: &Op, tensors: &Tensors, backward: bool) -> Result<Self, CliError> {
        let separate = matches!(op, Op::Gate(_, Layout::Separate));
        let first = tensors.get(if separate { "gate" } else { "x" })?;
        let up = separate.then(|| tensors.get("up")).transpose()?;
        let dy = backward.then(|| tensors.get("dy")).transpose()?;
        Ok(Self { first, up, dy })
    }
}

/// Runs `op` forward, and backward where there is `dy`.
pub fn run(gpu: &Gpu, op: &Op, inputs: &Inputs, learned: Option<&Learned>) -> Result<Named, CliError> {
    let operands = Operands {
        gpu,
        first: upload(gpu, &inputs.first)?,
        up: inputs.up.as_ref().map(|up| upload(gpu, up)).transpose()?,
        dy: inputs.dy.as_ref().map(|dy| upload(gpu, dy)).transpose()?,
        table: learned.map(|learned| learned.upload(gpu)).transpose()?,
    };
    match op {
        Op::Activation(activation) => operands.activation(activation, learned),
        Op::Gate(gate, layout) => operands.gate(gate, *layout, learned),
    }
}

struct Operands<'a> {
    gpu: &'a Gpu,
    first: Tensor,
    up: Option<Tensor>,
    dy: Option<Tensor>,
    table: Option<Tensor>,
}

impl Operands<'_> {
    fn zeros_like(&self, tensor: &Tensor) -> Result<Tensor, CliError> {
        Ok(self.gpu.zeros(tensor.shape(), tensor.element())?)
    }

    fn named(&self, name: &str, tensor: &Tensor) -> Result<(String, HostTensor), CliError> {
        Ok((name.to_owned(), download(self.gpu, tensor)?))
    }

    fn activation(&self, activation: &Activation, learned: Option<&Learned>) -> Result<Named, CliError> {
        let op = Activate::new(self.gpu, activation.clone());
        let (x, parameters) = (&self.first, self.table.as_ref());
        let y = self.zeros_like(x)?;
        op.forward(Forward { x, y: &y, bias: None, parameters })?.submit(self.gpu);
        let mut outputs = vec![self.named("y", &y)?];
        if let Some(dy) = &self.dy {
            let dx = self.zeros_like(x)?;
            let args = Backward { x, dy, dx: &dx, bias: None, parameters };
            op.backward(args)?.submit(self.gpu);
            outputs.push(self.named("dx", &dx)?);
            if let (Some(table), Some(learned)) = (parameters, learned) {
                let gradient = self.zeros_like(table)?;
                op.parameter_gradient(args, &gradient)?.submit(self.gpu);
                outputs.extend(learned.gradients(&self.gpu.read_back(&gradient)?)?);
            }
        }
        Ok(outputs)
    }

    fn gate(&self, gate: &Gate, layout: Layout, learned: Option<&Learned>) -> Result<Named, CliError> {
        let op = Gated::new(self.gpu, gate.clone());
        let (first, parameters) = (&self.first, self.table.as_ref());
        let mut shape = first.shape().to_vec();
        let input = match &self.up {
            Some(up) => GateInput::Separate { gate: first, up },
            None => {
                // An odd or missing dimension is refused by the operation.
                shape.iter_mut().rev().take(1).for_each(|last| *last /= 2);
                GateInput::Joint { x: first, layout }
            }
        };
        let y = self.gpu.zeros(&shape, first.element())?;
        op.forward(GatedForward { input, y: &y, bias: None, parameters })?.submit(self.gpu);
        let mut outputs = vec![self.named("y", &y)?];
        if let Some(dy) = &self.dy {
            let dfirst = self.zeros_like(first)?;
            let dup = self.up.as_ref().map(|up| self.zeros_like(up)).transpose()?;
            let grads = match &dup {
                Some(dup) => GateInput::Separate { gate: &dfirst, up: dup },
                None => GateInput::Joint { x: &dfirst, layout },
            };
            let args = GatedBackward { input, dy, grads, bias: None, parameters };
            op.backward(args)?.submit(self.gpu);
            match &dup {
                Some(dup) => outputs.extend([self.named("dgate", &dfirst)?, self.named("dup", dup)?]),
                None => outputs.push(self.named("dx", &dfirst)?),
            }
            if let (Some(table), Some(learned)) = (parameters, learned) {
                let gradient = self.zeros_like(table)?;
                op.parameter_gradient(args, &gradient)?.submit(self.gpu);
                outputs.extend(learned.gradients(&self.gpu.read_back(&gradient)?)?);
            }
        }
        Ok(outputs)
    }
}
