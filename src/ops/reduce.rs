//! Gradients of learned parameters and biases: partial sums, then their sums.

use bytemuck::{Pod, Zeroable};

use super::checks::Channels;
use super::elementwise::Call;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::shader::elementwise;
use crate::shader::function::pack_constants;
use crate::shader::operand::{Index, Lanes};
use crate::shader::reduce::{self, Terms};

/// The uniform block of shaders/reduce/parameter_partials.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct PartialsParams {
    pub fence: u32,
    pub count: u32,
    pub sums: u32,
    pub sum_inner: u32,
    pub splits: u32,
    pub width: u32,
    pub channels: u32,
    pub inner: u32,
    pub learned_channels: u32,
    pub bias_channels: u32,
    pub padding: [u32; 2],
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

/// Sums over the elements of `call`, whose variant tells how to read them, into `outputs`: one for all learned
/// parameters, or one for each bias.
pub(super) fn plan(gpu: &Gpu, call: &Call<'_>, variant: &elementwise::Variant, terms: Terms, outputs: &[&Tensor]) -> Result<Plan, Error> {
    super::checks::parameters(&variant.function)?;
    let kernel = reduce::Variant {
        function: variant.function.clone(),
        element: variant.element,
        layout: variant.layout,
        terms,
        bias: variant.bias,
        learned: variant.learned,
    };
    let Channels { table, channels, inner } = call.channels;
    let bias_channels = call.bias_channels();
    // One sum for each channel, or one for all of them.
    let (sums, sum_inner) = match terms {
        Terms::Bias => (bias_channels, 1),
        Terms::Learned if table > 1 => (channels as u64, inner as u64),
        Terms::Learned => (1, 1),
    };
    let kinds = kernel.sums() as u64;
    let count = call.len / sums.max(1);
    let splits = (INVOCATIONS / sums.max(1)).clamp(1, MAX_SPLITS).min(count.max(1));
    let mut params = PartialsParams {
        fence: 0,
        count: count as u32,
        sums: sums as u32,
        sum_inner: sum_inner.max(1) as u32,
        splits: splits as u32,
        width: call.width.max(1) as u32,
        channels: channels.max(1) as u32,
        inner: inner.max(1) as u32,
        learned_channels: table.max(1) as u32,
        bias_channels: bias_channels as u32,
        padding: [0; 2],
        offsets: [[0; 4]; 2],
        constants: pack_constants(&kernel.function.constants()),
    };
    let mut bounds = Vec::new();
    for (slot, operand) in kernel.operands().into_iter().enumerate() {
        let Some(given) = call.operands.iter().find(|given| given.name == operand.name) else { continue };
        let max = Bound::max_elements(gpu, given.tensor);
        if given.tensor.len() as u64 > max {
            return Err(Error::Limit {
                what: "elements of a tensor whose gradient is summed",
                required: given.tensor.len() as u64,
                allowed: max,
            });
        }
        let (bound, base) = Bound::whole(gpu, given.tensor, Lanes::One);
        let half = if operand.index == Index::Flat { 0 } else { given.half };
        params.offsets[slot / 4][slot % 4] = base.wrapping_add(half as u32);
        bounds.push(bound);
    }
    let partials = gpu.zeros(&[(splits * kinds * sums) as usize], Element::F32)?;
    bounds.push(Bound::whole(gpu, &partials, Lanes::One).0);
    let mut builder = PlanBuilder::new(gpu);
    builder.push(&kernel.partials(), bytemuck::bytes_of(&params), bounds, (sums * splits).div_ceil(64))?;
    let each = kinds * sums / outputs.len().max(1) as u64;
    for (first, output) in (0..).map(|k| k * each).zip(outputs) {
        let (bound, offset) = Bound::whole(gpu, output, Lanes::One);
        let params = SumsParams {
            sums: (kinds * sums) as u32,
            splits: splits as u32,
            first: first as u32,
            count: each as u32,
            offset,
            padding: [0; 3],
        };
        let bounds = vec![Bound::whole(gpu, &partials, Lanes::One).0, bound];
        builder.push(&reduce::sums(), bytemuck::bytes_of(&params), bounds, each.div_ceil(64))?;
    }
    builder.finish()
}
