//! Plans: dispatches with their bind groups, ready to be recorded again and again.

use std::sync::Arc;

use super::device::Gpu;
use super::tensor::Tensor;
use crate::error::Error;
use crate::shader::operand::{Index, Lanes};
use crate::shader::{self, Kernel};

/// Bound dispatches. [`Plan::record`] appends them to the caller's encoder and does nothing else.
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
    scratch: u64,
    parameters: u64,
}

#[derive(Debug)]
struct Step {
    pipeline: Arc<wgpu::ComputePipeline>,
    bind_group: wgpu::BindGroup,
    grid: Grid,
    name: String,
}

/// Workgroups of a dispatch.
#[derive(Debug, Clone)]
pub(crate) enum Grid {
    /// So many on each side.
    Fixed([u32; 3]),
    /// As many as three words of this buffer say, from this byte on: the device counts them.
    Indirect(wgpu::Buffer, u64),
}

impl Plan {
    /// Appends one compute pass. It never submits, waits, maps or allocates.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        if !self.steps.is_empty() {
            self.record_in(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        }
    }

    /// Appends to the caller's pass.
    pub fn record_in(&self, pass: &mut wgpu::ComputePass<'_>) {
        for step in &self.steps {
            pass.set_pipeline(&step.pipeline);
            pass.set_bind_group(0, &step.bind_group, &[]);
            match &step.grid {
                Grid::Fixed([x, y, z]) => pass.dispatch_workgroups(*x, *y, *z),
                Grid::Indirect(buffer, offset) => pass.dispatch_workgroups_indirect(buffer, *offset),
            }
        }
    }

    /// Records into an encoder of its own and submits that.
    pub fn submit(&self, gpu: &Gpu) {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.record(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
    }

    /// Names of the kernels, one a dispatch.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }

    /// This plan, then the other, in one pass.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self.scratch += other.scratch;
        self.parameters += other.parameters;
        self
    }

    /// Bytes of GPU memory that the plan keeps for itself: partial sums, and workspaces. Its
    /// [`parameters`](Self::parameter_bytes) come on top.
    pub fn scratch_bytes(&self) -> u64 {
        self.scratch
    }

    /// Bytes of the uniform buffers with the kernels' parameters, one buffer for each operation's dispatches: at most 208 bytes
    /// for each, each from a multiple of the device's `min_uniform_buffer_offset_alignment` on.
    pub fn parameter_bytes(&self) -> u64 {
        self.parameters
    }

    pub(crate) fn with_scratch(self, bytes: u64) -> Self {
        Self { scratch: self.scratch + bytes, ..self }
    }
}

/// A part of a buffer, as a binding.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
}

impl Bound {
    /// Bytes of the largest unit that a kernel loads: eight f32.
    const UNIT: u64 = 32;

    /// The window of `tensor` that holds its elements `first..end`, and the place of its element 0 in that
    /// window, in units of `lanes` (wrapping: only places inside the window are ever formed).
    pub(crate) fn window(gpu: &Gpu, tensor: &Tensor, first: u64, end: u64, lanes: Lanes) -> (Self, u32) {
        if first >= end {
            // It may lie at the buffer's very end; a vector that is never read is bound instead.
            let size = (tensor.buffer().size() / 4 * 4).min(16);
            return (Self { buffer: tensor.buffer().clone(), offset: 0, size }, 0);
        }
        let size = tensor.element().size();
        let alignment = u64::from(gpu.limits().min_storage_buffer_offset_alignment).max(Self::UNIT);
        let start = (tensor.offset() + first) * size / alignment * alignment;
        let stop = ((tensor.offset() + end) * size).div_ceil(4) * 4;
        let bytes = stop.min(tensor.buffer().size() / 4 * 4).saturating_sub(start).max(4);
        let base = (tensor.offset() as i64 - (start / size) as i64).div_euclid(lanes.count() as i64);
        (Self { buffer: tensor.buffer().clone(), offset: start, size: bytes }, base as u32)
    }

    /// All of it.
    pub(crate) fn whole(gpu: &Gpu, tensor: &Tensor, lanes: Lanes) -> (Self, u32) {
        Self::window(gpu, tensor, 0, tensor.len() as u64, lanes)
    }

    /// Most elements that any window may hold, whatever its alignment.
    pub(crate) fn max_elements(gpu: &Gpu, tensor: &Tensor) -> u64 {
        let limits = gpu.limits();
        let slack = u64::from(limits.min_storage_buffer_offset_alignment).max(Self::UNIT);
        let fits = limits.max_storage_buffer_binding_size.saturating_sub(slack) / tensor.element().size();
        fits.min(Tensor::MOST_ELEMENTS)
    }
}

/// First and end element of `tensor` that logical elements `a..b` touch; rows of gate and up are `width` long,
/// and `half` is where this one starts in its row (or 0 and 1 where they alternate).
pub(crate) fn touched(index: Index, a: u64, b: u64, width: u64, half: u64) -> (u64, u64) {
    let place = |i: u64| match index {
        Index::Flat => i,
        Index::Half => i / width * (2 * width) + half + i % width,
        Index::Even | Index::Odd => 2 * i,
    };
    let end = place(b - 1) + if matches!(index, Index::Even | Index::Odd) { 2 } else { 1 };
    (place(a), end)
}

/// Collects dispatches; [`PlanBuilder::finish`] makes their bind groups and one uniform buffer for all of them.
pub(crate) struct PlanBuilder<'a> {
    gpu: &'a Gpu,
    pending: Vec<Pending>,
}

struct Pending {
    pipeline: Arc<wgpu::ComputePipeline>,
    params: Vec<u8>,
    bounds: Vec<Bound>,
    grid: Grid,
    name: String,
}

impl<'a> PlanBuilder<'a> {
    pub(crate) fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, pending: Vec::new() }
    }

    /// A dispatch whose kernel reads its workgroups as one row.
    pub(crate) fn push(&mut self, kernel: &Kernel, params: &[u8], bounds: Vec<Bound>, workgroups: u64) -> Result<(), Error> {
        let side = self.gpu.limits().max_compute_workgroups_per_dimension;
        let grid = shader::grid(workgroups, side).ok_or(Error::Limit {
            what: "workgroups of a dispatch",
            required: workgroups,
            allowed: u64::from(side) * u64::from(side),
        })?;
        self.push_grid(kernel, params, bounds, Grid::Fixed(grid))
    }

    /// A dispatch with a grid of its own.
    pub(crate) fn push_grid(&mut self, kernel: &Kernel, params: &[u8], bounds: Vec<Bound>, grid: Grid) -> Result<(), Error> {
        let pipeline = self.gpu.pipeline(kernel)?;
        self.pending.push(Pending { pipeline, params: params.to_vec(), bounds, grid, name: kernel.name.clone() });
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Plan, Error> {
        if self.pending.is_empty() {
            return Ok(Plan { steps: Vec::new(), scratch: 0, parameters: 0 });
        }
        let alignment = u64::from(self.gpu.limits().min_uniform_buffer_offset_alignment);
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for pending in &self.pending {
            bytes.resize(bytes.len().next_multiple_of(alignment as usize), 0);
            starts.push(bytes.len() as u64);
            bytes.extend_from_slice(&pending.params);
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let device = self.gpu.device();
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ffwd params"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        uniforms.get_mapped_range_mut(..).map_err(|error| super::device::gpu_error("writing parameters", &error))?.copy_from_slice(&bytes);
        uniforms.unmap();
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let steps = self.pending.into_iter().zip(starts).map(|(pending, start)| {
            let params = Bound { buffer: uniforms.clone(), offset: start, size: (pending.params.len() as u64).next_multiple_of(16) };
            let entries: Vec<_> = std::iter::once(&params).chain(&pending.bounds).zip(0..).map(|(bound, i)| entry(i, bound)).collect();
            let layout = pending.pipeline.get_bind_group_layout(0);
            let descriptor = wgpu::BindGroupDescriptor { label: Some(&pending.name), layout: &layout, entries: &entries };
            let bind_group = device.create_bind_group(&descriptor);
            Step { pipeline: pending.pipeline, bind_group, grid: pending.grid, name: pending.name }
        });
        let plan = Plan { steps: steps.collect(), scratch: 0, parameters: bytes.len() as u64 };
        self.gpu.close(scope, |error| super::device::gpu_error("binding", error))?;
        Ok(plan)
    }
}

fn entry(binding: u32, bound: &Bound) -> wgpu::BindGroupEntry<'_> {
    let resource = wgpu::BufferBinding { buffer: &bound.buffer, offset: bound.offset, size: std::num::NonZero::new(bound.size) };
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(resource) }
}
