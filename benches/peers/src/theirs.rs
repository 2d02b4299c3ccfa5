//! burn's side: tensors in, a new tensor out, through whatever fusion and autotuning decide.

use std::error::Error;

use burn::tensor::{Device, Tensor, TensorData, activation};
use ffwd::Activation;

use crate::workload::{Matrix, Workload};

/// A workload on tensors that lie on the device.
pub struct Theirs {
    device: Device,
    workload: Workload,
    inputs: Vec<Tensor<2>>,
}

impl Theirs {
    /// Uploads the inputs. Weights are stored `[in, out]`, as burn's own linear layer has them.
    ///
    /// # Errors
    /// What the device reports.
    pub fn new(device: &Device, workload: &Workload, inputs: &[Matrix]) -> Result<Self, Box<dyn Error>> {
        let upload = |m: &Matrix| Tensor::from_data(TensorData::new(m.data.clone(), [m.rows, m.cols]), device);
        let inputs = inputs.iter().map(upload).collect();
        device.sync().map_err(|error| format!("{error:?}"))?;
        Ok(Self { device: device.clone(), workload: workload.clone(), inputs })
    }

    /// From the first call to completion. The output, which burn allocates, is alive until then, so that no part of the
    /// work can be left out; letting go of it is up to the caller.
    ///
    /// # Errors
    /// What the device reports; an activation that is not among the workloads.
    pub fn run(&self) -> Result<Tensor<2>, Box<dyn Error>> {
        let input = |i: usize| self.inputs[i].clone();
        let y = match &self.workload {
            Workload::Product { .. } => input(0).matmul(input(1)),
            Workload::SwiGlu { .. } => (activation::silu(input(0).matmul(input(1))) * input(0).matmul(input(2))).matmul(input(3)),
            Workload::Activation { f, .. } => apply(f, input(0))?,
            Workload::Gate { f, .. } => apply(f, input(0))? * input(1),
        };
        self.device.sync().map_err(|error| format!("{error:?}"))?;
        Ok(y)
    }

    /// y.
    ///
    /// # Errors
    /// As [`Theirs::run`]; what reading back reports.
    pub fn result(&self) -> Result<Vec<f32>, Box<dyn Error>> {
        self.run()?.into_data().try_to_vec::<f32>().map_err(|error| format!("{error:?}").into())
    }
}

fn apply(f: &Activation, x: Tensor<2>) -> Result<Tensor<2>, String> {
    match f.name() {
        "relu" => Ok(activation::relu(x)),
        "silu" => Ok(activation::silu(x)),
        "sigmoid" => Ok(activation::sigmoid(x)),
        "tanh" => Ok(activation::tanh(x)),
        "gelu" => Ok(activation::gelu(x)),
        other => Err(format!("no workload uses {other}")),
    }
}
