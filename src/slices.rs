//! The layer for those who have numbers and want numbers: uploads, runs, waits.

use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::Gpu;
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
pub fn activate(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32]) -> Result<Vec<f32>, Error> {
    let (x, y) = (gpu.tensor(x, &[x.len()], Element::F32)?, gpu.zeros(&[x.len()], Element::F32)?);
    Activate::new(gpu, activation).forward(Forward { x: &x, y: &y, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back(&y)
}

/// dy * f'(x), element by element.
///
/// # Errors
/// [`Error::Shape`] where the lengths differ; whatever the device refuses.
pub fn activate_backward(gpu: &Gpu, activation: impl Into<Activation>, x: &[f32], dy: &[f32]) -> Result<Vec<f32>, Error> {
    let tensor = |data: &[f32]| gpu.tensor(data, &[data.len()], Element::F32);
    let (x, dy, dx) = (tensor(x)?, tensor(dy)?, gpu.zeros(&[x.len()], Element::F32)?);
    Activate::new(gpu, activation).backward(Backward { x: &x, dy: &dy, dx: &dx, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back(&dx)
}

/// The gate's product of two slices.
///
/// # Errors
/// [`Error::Shape`] where the lengths differ; whatever the device refuses.
pub fn gate(gpu: &Gpu, function: impl Into<Gate>, gate: &[f32], up: &[f32]) -> Result<Vec<f32>, Error> {
    let tensor = |data: &[f32]| gpu.tensor(data, &[data.len()], Element::F32);
    let (gate, up, y) = (tensor(gate)?, tensor(up)?, gpu.zeros(&[gate.len()], Element::F32)?);
    let input = GateInput::Separate { gate: &gate, up: &up };
    Gated::new(gpu, function).forward(GatedForward { input, y: &y, bias: None, parameters: None })?.submit(gpu);
    gpu.read_back(&y)
}
