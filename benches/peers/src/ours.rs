//! ffwd's side: a plan made beforehand on buffers allocated beforehand. Its public interface only.

use ffwd::nn::{FeedForward, FeedForwardArgs, Layer};
use ffwd::ops::{Activate, Forward, GateInput, Gated, GatedForward, Linear, LinearArgs, Weights};
use ffwd::{Activation, Element, Error, Gate, Gpu, Plan, Tensor};

use crate::workload::{Matrix, Workload};

/// A workload that is ready to be submitted.
pub struct Ours {
    gpu: Gpu,
    plan: Plan,
    y: Tensor,
}

impl Ours {
    /// Uploads the inputs, allocates the outputs and plans. Weights are stored `[out, in]`, as ffwd wants them.
    ///
    /// # Errors
    /// As ffwd's operations.
    pub fn new(gpu: &Gpu, workload: &Workload, inputs: &[Matrix]) -> Result<Self, Error> {
        let upload = |m: &Matrix| gpu.tensor(&m.data, &[m.rows, m.cols], Element::F32);
        let x = upload(&inputs[0])?;
        let others = &inputs[1..];
        let (y, plan) = match workload {
            Workload::Product { rows, cols, .. } => {
                let (weight, y) = (upload(&others[0].transposed())?, gpu.zeros(&[*rows, *cols], Element::F32)?);
                let weights = Weights::plain(&weight);
                let args = LinearArgs::new(&x, weights, &y);
                let plan = Linear::new(gpu, Activation::Identity).plan(args)?;
                (y, plan)
            }
            Workload::SwiGlu { .. } => {
                let [w_gate, w_up, w_down] = [0, 1, 2].map(|i| upload(&others[i].transposed()));
                let gate = Gate::Of(Activation::Silu);
                let layer =
                    Layer::Gated { gate, w_gate: w_gate?.into(), w_up: w_up?.into(), biases: None, w_down: w_down?.into(), b_down: None };
                let ffn = FeedForward::new(gpu, layer);
                let (hidden, y) = (ffn.hidden(&x)?, gpu.zeros(x.shape(), Element::F32)?);
                let plan = ffn.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y })?;
                (y, plan)
            }
            Workload::Activation { f, .. } => {
                let y = gpu.zeros(x.shape(), Element::F32)?;
                let plan = Activate::new(gpu, f.clone()).forward(Forward { x: &x, y: &y, bias: None, parameters: None })?;
                (y, plan)
            }
            Workload::Gate { f, .. } => {
                let (up, y) = (upload(&others[0])?, gpu.zeros(x.shape(), Element::F32)?);
                let input = GateInput::Separate { gate: &x, up: &up };
                let args = GatedForward { input, y: &y, bias: None, parameters: None };
                let plan = Gated::new(gpu, Gate::Of(f.clone())).forward(args)?;
                (y, plan)
            }
        };
        gpu.wait()?;
        Ok(Self { gpu: gpu.clone(), plan, y })
    }

    /// From submission to completion.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub fn run(&self) -> Result<(), Error> {
        self.plan.submit(&self.gpu);
        self.gpu.wait()
    }

    /// y.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub fn result(&self) -> Result<Vec<f32>, Error> {
        self.gpu.read_back(&self.y)
    }
}
