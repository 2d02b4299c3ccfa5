//! The layer for those who have numbers and want numbers: uploads, runs, waits.

use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::block_on;
use crate::gpu::{Gpu, Tensor};
use crate::ops::{Activate, Backward, Forward, GateInput, Gated, GatedForward};

/// f(x), element by element.
///
/// ```no_run
/// let gpu = ffwd::Gpu::open(&Default::default())?;
/// let y = ffwd::activate(&gpu, ffwd::Activation::Gelu, &[-1.0, 0.0, 1.0])?;
/// # Ok::<(), ffwd::Error>(())
/// ```
///
/// # Errors
/// Whatever the device refuses.
#[cfg(not(target_arch = "wasm32"))]
pub fn activate(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32]) -> Result<Vec<f32>, Error> {
    block_on(activate_async(gpu, activation, x))
}

/// [`activate`] where a thread must not block.
///
/// # Errors
/// As [`activate`].
pub async fn activate_async(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32]) -> Result<Vec<f32>, Error> {
    let (x, y) = (tensor(gpu, x)?, gpu.zeros(&[x.len()], Element::F32)?);
    Activate::new(gpu, activation).forward(Forward { x: &x, y: &y, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back_async(&y).await
}

/// dy * f'(x), element by element.
///
/// # Errors
/// [`Error::Shape`] where the lengths differ; whatever the device refuses.
#[cfg(not(target_arch = "wasm32"))]
pub fn activate_backward(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32], dy: &[f32]) -> Result<Vec<f32>, Error> {
    block_on(activate_backward_async(gpu, activation, x, dy))
}

/// [`activate_backward`] where a thread must not block.
///
/// # Errors
/// As [`activate_backward`].
pub async fn activate_backward_async(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32], dy: &[f32]) -> Result<Vec<f32>, Error> {
    let (x, dy, dx) = (tensor(gpu, x)?, tensor(gpu, dy)?, gpu.zeros(&[x.len()], Element::F32)?);
    Activate::new(gpu, activation).backward(Backward { x: &x, dy: &dy, dx: &dx, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back_async(&dx).await
}

/// The gate's product of two slices.
///
/// # Errors
/// [`Error::Shape`] where the lengths differ; whatever the device refuses.
#[cfg(not(target_arch = "wasm32"))]
pub fn gate(gpu: &Gpu, function: impl Into<Gate>, gate: &[f32], up: &[f32]) -> Result<Vec<f32>, Error> {
    block_on(gate_async(gpu, function, gate, up))
}

/// [`gate`] where a thread must not block.
///
/// # Errors
/// As [`gate`].
pub async fn gate_async(gpu: &Gpu, function: impl Into<Gate>, gate: &[f32], up: &[f32]) -> Result<Vec<f32>, Error> {
    let (gate, up, y) = (tensor(gpu, gate)?, tensor(gpu, up)?, gpu.zeros(&[gate.len()], Element::F32)?);
    let input = GateInput::Separate { gate: &gate, up: &up };
    Gated::new(gpu, function).forward(GatedForward { input, y: &y, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back_async(&y).await
}

fn tensor(gpu: &Gpu, data: &[f32]) -> Result<Tensor, Error> {
    gpu.tensor(data, &[data.len()], Element::F32)
}
