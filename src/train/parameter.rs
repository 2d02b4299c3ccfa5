//! What is learned: each tensor with its gradient, and what the optimizer keeps of it.

use super::init::Init;
use super::optimizer::Optimizer;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, Tensor};
use crate::ops::steps::{self, Updated};

/// A tensor that is learned.
#[derive(Debug)]
pub(super) struct Parameter {
    /// `blocks.0.w_gate`, say.
    pub name: String,
    /// f32.
    pub master: Tensor,
    /// What layers compute with: the master, or its copy in another kind.
    pub value: Tensor,
    pub gradient: Tensor,
    /// The optimizer's, f32.
    pub kept: Vec<Tensor>,
    /// Whether it decays: matrices do.
    pub decays: bool,
}

impl Parameter {
    /// Zeros of this shape, `value` in kind `element`.
    pub(super) fn new(gpu: &Gpu, name: String, shape: &[usize], element: Element, optimizer: Optimizer) -> Result<Self, Error> {
        let f32s = || gpu.zeros(shape, Element::F32);
        let master = f32s()?;
        let value = if element == Element::F32 { master.clone() } else { gpu.zeros(shape, element)? };
        let kept = (0..optimizer.kept()).map(|_| f32s()).collect::<Result<_, _>>()?;
        Ok(Self { name, master, value, gradient: gpu.zeros(shape, element)?, kept, decays: shape.len() > 1 })
    }

    /// Draws the master and copies it.
    pub(super) fn init(&self, gpu: &Gpu, init: Init, seed: u64, stream: u32) -> Result<(), Error> {
        init.fill(gpu, &self.master, seed, stream)?.submit(gpu);
        self.copy(gpu)
    }

    /// Sets the master from little-endian f32, and copies it.
    pub(super) fn set(&self, gpu: &Gpu, bytes: &[u8]) -> Result<(), Error> {
        write(gpu, &self.master, bytes);
        self.copy(gpu)
    }

    fn copy(&self, gpu: &Gpu) -> Result<(), Error> {
        if self.value != self.master {
            steps::convert(gpu, &self.master, &self.value)?.submit(gpu);
        }
        Ok(())
    }

    /// The optimizer's step.
    pub(super) fn update(&self, gpu: &Gpu, optimizer: Optimizer, state: &Tensor) -> Result<Plan, Error> {
        let copy = (self.value != self.master).then_some(&self.value);
        let updated = Updated { weight: &self.master, gradient: &self.gradient, copy, kept: &self.kept };
        optimizer.update(gpu, updated, self.decays, state)
    }

    /// Every tensor of its own.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let copy = (self.value != self.master).then_some(&self.value);
        [&self.master, &self.gradient].into_iter().chain(copy).chain(&self.kept)
    }
}

/// Overwrites an f32 tensor that has a buffer of its own.
pub(super) fn write(gpu: &Gpu, tensor: &Tensor, bytes: &[u8]) {
    gpu.queue().write_buffer(tensor.buffer(), 0, bytes);
}
