//! Sums over elements: partial sums, then their sums.

use bytemuck::{Pod, Zeroable};

use super::checks::Channels;
use super::elementwise::Call;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::shader::function::{Function, pack_constants};
use crate::shader::operand::Lanes;
use crate::shader::reduce::{self, Terms};

/// The uniform block of shaders/reduce/partials.wgsl.
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
    pub offsets: [[u32; 4]; 3],
    pub constants: [[f32; 4]; 5],
    pub random: [[u32; 4]; 2],
}

/// The uniform block of shaders/reduce/sums.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct SumsParams {
    pub sums: u32,
    pub splits: u32,
    pub first: u32,
    pub count: u32,
    pub offset: u32,
    pub accumulate: u32,
    pub padding: [u32; 2],
}

/// Invocations wanted in the first stage, and most splits of one sum.
const INVOCATIONS: u64 = 16384;
const MAX_SPLITS: u64 = 1024;

/// What is summed, and how many sums there are.
struct Sums<'a> {
    gpu: &'a Gpu,
    call: &'a Call<'a>,
    terms: &'a Terms,
    /// Sums of each kind, and elements that lie side by side in one.
    sums: u64,
    inner: u64,
    /// Whether they are added to what is there.
    accumulate: bool,
}

/// Sums over the elements of `call` into `outputs`: one for all learned parameters, or one for each bias. They are added to
/// what is there where `accumulate` is set.
pub(super) fn plan(gpu: &Gpu, call: &Call<'_>, terms: &Terms, outputs: &[&Tensor], accumulate: bool) -> Result<Plan, Error> {
    let Channels { table, channels, inner } = call.channels;
    // One sum for each channel, or one for all of them.
    let (sums, inner) = match terms {
        Terms::Bias(_) => (call.bias_channels(), 1),
        Terms::Learned(_) if table > 1 => (channels as u64, inner as u64),
        _ => (1, 1),
    };
    let sums = Sums { gpu, call, terms, sums, inner, accumulate };
    sums.of(outputs)
}

/// Sums over all elements of x into `out`'s only one, in f32.
pub(super) fn total(gpu: &Gpu, operands: &[(&'static str, &Tensor)], terms: &Terms, out: &Tensor) -> Result<Plan, Error> {
    let len = operands.first().map_or(0, |(_, tensor)| tensor.len());
    Sums { gpu, call: &Call::flat(operands, len), terms, sums: 1, inner: 1, accumulate: false }.of(&[out])
}

/// Sums over the rows of x, one for each column, into `out`, in f32; added to what is there where `accumulate` is set.
pub(super) fn columns(gpu: &Gpu, x: &Tensor, terms: &Terms, out: &Tensor, accumulate: bool) -> Result<Plan, Error> {
    out.expect_element("sums", Element::F32)?;
    let columns = x.rows_cols().1 as u64;
    Sums { gpu, call: &Call::flat(&[("x", x)], x.len()), terms, sums: columns, inner: 1, accumulate }.of(&[out])
}

impl Sums<'_> {
    fn of(&self, outputs: &[&Tensor]) -> Result<Plan, Error> {
        if let Some(function) = self.terms.function() {
            super::checks::parameters(function)?;
        }
        self.call.countable()?;
        if outputs.iter().all(|output| output.is_empty()) {
            return PlanBuilder::new(self.gpu).finish();
        }
        // A channel with no element still has a sum.
        Sums { sums: self.sums.max(1), inner: self.inner.max(1), ..*self }.plan(outputs)
    }

    fn plan(&self, outputs: &[&Tensor]) -> Result<Plan, Error> {
        // Chunks are whole rows of channels, within the binding limit.
        let row = self.sums * self.inner;
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < self.call.len {
            let most = self.call.chunk(self.gpu, &self.terms.operands(), start)?;
            let len = if start + most == self.call.len { most } else { most / row * row };
            if len == 0 {
                return Err(Error::Limit { what: "elements of a row of channels", required: row, allowed: most });
            }
            chunks.push((start, len));
            start += len;
        }
        let widest = chunks.iter().map(|(_, len)| len / self.sums).max().unwrap_or(1);
        let kinds = self.terms.sums() as u64;
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
                accumulate: self.accumulate.into(),
                padding: [0; 2],
            };
            let bounds = vec![Bound::whole(self.gpu, &partials, Lanes::One).0, bound];
            builder.push(&reduce::sums(), bytemuck::bytes_of(&params), bounds, each.div_ceil(64))?;
        }
        Ok(builder.finish()?.with_scratch(partials.buffer().size()))
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
            offsets: [[0; 4]; 3],
            constants: pack_constants(&self.terms.function().map(Function::constants).unwrap_or_default()),
            random: self.call.random.words(),
        };
        let mut bounds = Vec::new();
        let operands = self.terms.operands();
        for (slot, operand) in operands.iter().enumerate() {
            let Some((bound, offset)) = self.call.bind(self.gpu, &operands, operand, start, len) else { continue };
            params.offsets[slot / 4][slot % 4] = offset;
            bounds.push(bound);
        }
        bounds.push(Bound::whole(self.gpu, partials, Lanes::One).0);
        builder.push(&self.terms.partials(), bytemuck::bytes_of(&params), bounds, (self.sums * splits).div_ceil(64))
    }
}
