//! Gradients of learned parameters and biases: partial sums, then their sums.

use bytemuck::{Pod, Zeroable};

use super::checks::Channels;
use super::elementwise::Call;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::shader::elementwise;
use crate::shader::function::pack_constants;
use crate::shader::operand::Lanes;
use crate::shader::reduce::{self, Terms};

/// The uniform block of shaders/reduce/parameter_partials.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct PartialsParams {
    pub fence: u32,
    pub first: u32,
    pub end: u32,
    pub sums: u32,
    pub sum_inner: u32,
    pub splits: u32,
    pub first_split: u32,
    pub width: u32,
    pub channels: u32,
    pub inner: u32,
    pub learned_channels: u32,
    pub bias_channels: u32,
    pub offsets: [[u32; 4]; 2],
    pub constants: [[f32; 4]; 5],
}

/// The uniform block of shaders/reduce/parameter_sums.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct SumsParams {
    pub sums: u32,
    pub splits: u32,
    pub first: u32,
    pub count: u32,
    pub offset: u32,
    pub padding: [u32; 3],
}

/// Invocations wanted in the first stage, and most splits of one sum.
const INVOCATIONS: u64 = 16384;
const MAX_SPLITS: u64 = 1024;

/// One gradient: what is summed, and how many sums there are.
struct Sums<'a> {
    gpu: &'a Gpu,
    call: &'a Call<'a>,
    kernel: reduce::Variant,
    /// Sums of each kind, and elements that lie side by side in one.
    sums: u64,
    inner: u64,
}

/// Sums over the elements of `call`, whose variant tells how to read them, into `outputs`: one for all learned
/// parameters, or one for each bias.
pub(super) fn plan(gpu: &Gpu, call: &Call<'_>, variant: &elementwise::Variant, terms: Terms, outputs: &[&Tensor]) -> Result<Plan, Error> {
    super::checks::parameters(&variant.function)?;
    call.countable()?;
    if outputs.iter().all(|output| output.is_empty()) {
        return PlanBuilder::new(gpu).finish();
    }
    let kernel = reduce::Variant {
        function: variant.function.clone(),
        element: variant.element,
        layout: variant.layout,
        terms,
        bias: variant.bias,
        learned: variant.learned,
    };
    let Channels { table, channels, inner } = call.channels;
    // One sum for each channel, or one for all of them.
    let (sums, inner) = match terms {
        Terms::Bias => (call.bias_channels(), 1),
        Terms::Learned if table > 1 => (channels as u64, inner as u64),
        Terms::Learned => (1, 1),
    };
    Sums { gpu, call, kernel, sums: sums.max(1), inner: inner.max(1) }.plan(outputs)
}

impl Sums<'_> {
    fn plan(&self, outputs: &[&Tensor]) -> Result<Plan, Error> {
        // Chunks are whole rows of channels, within the binding limit.
        let row = self.sums * self.inner;
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < self.call.len {
            let most = self.call.chunk(self.gpu, &self.kernel.operands(), start)?;
            let len = if start + most == self.call.len { most } else { most / row * row };
            if len == 0 {
                return Err(Error::Limit { what: "elements of a row of channels", required: row, allowed: most });
            }
            chunks.push((start, len));
            start += len;
        }
        let widest = chunks.iter().map(|(_, len)| len / self.sums).max().unwrap_or(1);
        let kinds = self.kernel.sums() as u64;
        // All partial sums lie in one binding.
        let once = chunks.len().max(1) as u64 * kinds * self.sums;
        let allowed = self.gpu.limits().max_storage_buffer_binding_size / Element::F32.size();
        if once > allowed {
            return Err(Error::Limit { what: "partial sums of a gradient", required: once, allowed });
        }
        let splits = (INVOCATIONS / self.sums).clamp(1, MAX_SPLITS).min(widest.max(1)).min(allowed / once);
        let all_splits = splits * chunks.len() as u64;
        let partials = self.gpu.zeros(&[(all_splits * kinds * self.sums) as usize], Element::F32)?;
        let mut builder = PlanBuilder::new(self.gpu);
        for (number, chunk) in (0..).zip(chunks) {
            self.partials(&mut builder, chunk, number * splits, splits, &partials)?;
        }
        let each = kinds * self.sums / outputs.len().max(1) as u64;
        for (first, output) in (0..).map(|k| k * each).zip(outputs) {
            let (bound, offset) = Bound::whole(self.gpu, output, Lanes::One);
            let params = SumsParams {
                sums: (kinds * self.sums) as u32,
                splits: all_splits as u32,
                first: first as u32,
                count: each as u32,
                offset,
                padding: [0; 3],
            };
            let bounds = vec![Bound::whole(self.gpu, &partials, Lanes::One).0, bound];
            builder.push(&reduce::sums(), bytemuck::bytes_of(&params), bounds, each.div_ceil(64))?;
        }
        builder.finish()
    }

    /// Partial sums of elements `start..start + len` into rows `first_split..` of `partials`.
    fn partials(
        &self,
        builder: &mut PlanBuilder<'_>,
        (start, len): (u64, u64),
        first_split: u64,
        splits: u64,
        partials: &Tensor,
    ) -> Result<(), Error> {
        let Channels { table, channels, inner } = self.call.channels;
        let mut params = PartialsParams {
            fence: 0,
            first: (start / self.sums) as u32,
            end: ((start + len) / self.sums) as u32,
            sums: self.sums as u32,
            sum_inner: self.inner as u32,
            splits: splits as u32,
            first_split: first_split as u32,
            width: self.call.width.max(1) as u32,
            channels: channels.max(1) as u32,
            inner: inner.max(1) as u32,
            learned_channels: table.max(1) as u32,
            bias_channels: self.call.bias_channels() as u32,
            offsets: [[0; 4]; 2],
            constants: pack_constants(&self.kernel.function.constants()),
        };
        let mut bounds = Vec::new();
        let operands = self.kernel.operands();
        for (slot, operand) in operands.iter().enumerate() {
            let Some((bound, offset)) = self.call.bind(self.gpu, &operands, operand, start, len) else { continue };
            params.offsets[slot / 4][slot % 4] = offset;
            bounds.push(bound);
        }
        bounds.push(Bound::whole(self.gpu, partials, Lanes::One).0);
        builder.push(&self.kernel.partials(), bytemuck::bytes_of(&params), bounds, (self.sums * splits).div_ceil(64))
    }
}
