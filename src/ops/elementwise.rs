//! From tensors to dispatches, for every elementwise kernel: in-place use, chunks within the binding limit,
//! vectors in bulk and single elements where the operands are not aligned or the end is ragged.

use bytemuck::{Pod, Zeroable};

use super::checks::{self, Channels, Sharing};
use super::dropout::Random;
use crate::error::Error;
use crate::gate::Layout;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor, touched};
use crate::shader::elementwise::{Mapped, STEPS, WORKGROUP};
use crate::shader::operand::{Index, Lanes, Operand};

/// The uniform block of shaders/elementwise/map.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Params {
    pub fence: u32,
    pub count: u32,
    pub first: u32,
    pub width: u32,
    pub channels: u32,
    pub inner: u32,
    pub learned_channels: u32,
    pub bias_channels: u32,
    pub offsets: [[u32; 4]; 3],
    pub constants: [[f32; 4]; 5],
    pub random: [[u32; 4]; 2],
}

/// One operand as the caller gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub name: &'static str,
    pub tensor: &'a Tensor,
    /// Where its half starts in a row of gate and up.
    pub half: u64,
}

/// Everything about a call besides its variant.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub operands: Vec<Given<'a>>,
    /// Logical elements, and how many of them make a row of gate or up.
    pub len: u64,
    pub width: u64,
    /// Of the learned parameters, where there are any.
    pub channels: Channels,
    /// What steers random numbers.
    pub random: Random,
}

impl<'a> Call<'a> {
    /// Tensors that are walked through element by element, side by side.
    pub(super) fn flat(operands: &[(&'static str, &'a Tensor)], len: usize) -> Self {
        let operands = operands.iter().map(|&(name, tensor)| Given { name, tensor, half: 0 }).collect();
        Self { operands, len: len as u64, width: len.max(1) as u64, channels: Channels::NONE, random: Random::default() }
    }
}

impl Call<'_> {
    fn tensor(&self, name: &str) -> Option<&Given<'_>> {
        self.operands.iter().find(|given| given.name == name)
    }

    /// Values of a bias, which belongs to the last dimension; 1 without.
    pub(super) fn bias_channels(&self) -> u64 {
        self.tensor("bias_x").or(self.tensor("bias_gate")).map_or(1, |bias| bias.tensor.len() as u64).max(1)
    }

    /// Refuses tensors that are too long to be counted.
    pub(super) fn countable(&self) -> Result<(), Error> {
        let longest = self.operands.iter().map(|given| given.tensor.len() as u64).max().unwrap_or(0);
        let allowed = Tensor::MOST_ELEMENTS;
        if longest > allowed { Err(Error::Limit { what: "elements of a tensor", required: longest, allowed }) } else { Ok(()) }
    }

    /// Marks inputs that an output overwrites or whose buffer it shares.
    fn resolve_sharing(&self, variant: &mut impl Mapped) -> Result<(), Error> {
        let operands = variant.operands();
        for output in operands.iter().filter(|o| o.written) {
            let Some(out) = self.tensor(output.name) else { continue };
            for other in operands.iter().filter(|o| o.name != output.name) {
                let Some(given) = self.tensor(other.name) else { continue };
                let same_index = other.index == output.index && given.half == out.half;
                let one_binding = variant.layout() != Layout::Separate && other.written;
                if one_binding {
                    continue;
                }
                // Halves of one packed tensor do not overlap, though their spans do.
                let halves = variant.layout() != Layout::Separate && given.tensor.same_elements(out.tensor) && other.index != Index::Flat;
                if halves && !same_index {
                    continue;
                }
                match checks::sharing((other.name, given.tensor), (output.name, out.tensor), same_index)? {
                    Sharing::Apart => {}
                    Sharing::InPlace if other.written || other.whole => {
                        return Err(Error::Alias { input: other.name, output: output.name });
                    }
                    Sharing::InPlace => variant.places().in_place.push((other.name, output.name)),
                    Sharing::Beside => variant.places().shared.push(other.name),
                }
            }
        }
        Ok(())
    }

    /// Whether vectors can be loaded: every operand starts, and every row ends, at a vector's edge.
    fn aligned(&self, variant: &impl Mapped) -> bool {
        let rows = matches!(variant.layout(), Layout::Packed | Layout::Swapped);
        let tensors = variant.operands().into_iter().filter(|o| o.lanes == Lanes::Four);
        tensors.filter_map(|o| self.tensor(o.name)).all(|given| given.tensor.offset().is_multiple_of(4))
            && (!rows || self.width.is_multiple_of(4))
    }

    /// Logical elements of one dispatch from `start` on: every window within the binding limit, and as single elements
    /// within the grid's.
    pub(super) fn chunk(&self, gpu: &Gpu, operands: &[Operand], start: u64) -> Result<u64, Error> {
        let side = u64::from(gpu.limits().max_compute_workgroups_per_dimension);
        let mut len = (self.len - start).min(side * side * WORKGROUP * STEPS);
        for operand in operands {
            let Some(given) = self.tensor(operand.name) else { continue };
            let max = Bound::max_elements(gpu, given.tensor);
            if operand.whole {
                let required = given.tensor.len() as u64;
                if required > max {
                    return Err(Error::Limit { what: "elements of a bias, of learned parameters or of a text", required, allowed: max });
                }
                continue;
            }
            let together =
                operands.iter().any(|o| o.binding == operand.binding && self.tensor(o.name).is_some_and(|g| g.half != given.half));
            let fits = match operand.index {
                Index::Flat => max,
                Index::Even | Index::Odd => max / 2,
                // A window of n elements of a half spans up to 2 n and one row more.
                Index::Half if max >= 4 * self.width => (max - 2 * self.width) / 2,
                Index::Half if !together => max.min(self.width - start % self.width),
                Index::Half => {
                    let what = "elements of a row of gate and up, written together";
                    return Err(Error::Limit { what, required: 4 * self.width, allowed: max });
                }
            };
            len = len.min(fits);
        }
        Ok(if len < self.len - start { (len / 4 * 4).max(1) } else { len })
    }

    /// The window of an operand that logical elements `first..first + count` touch, and its offset for the kernel.
    /// Operands that share a binding (in place, or both halves of a gradient) share the window.
    pub(super) fn bind(&self, gpu: &Gpu, operands: &[Operand], operand: &Operand, first: u64, count: u64) -> Option<(Bound, u32)> {
        let given = self.tensor(operand.name)?;
        if operand.whole {
            return Some(Bound::whole(gpu, given.tensor, operand.lanes));
        }
        let sharers = operands.iter().filter(|o| o.binding == operand.binding);
        let spans = sharers.filter_map(|o| Some(touched(o.index, first, first + count, self.width, self.tensor(o.name)?.half)));
        let (a, b) = spans.reduce(|x, y| (x.0.min(y.0), x.1.max(y.1)))?;
        let (bound, base) = Bound::window(gpu, given.tensor, a, b, operand.lanes);
        // Where vectors alternate, both operands read the same two; single elements are one apart.
        let half = if operand.index != Index::Half && operand.lanes == Lanes::Four { 0 } else { given.half };
        Some((bound, base.wrapping_add((half / operand.lanes.count()) as u32)))
    }

    /// Checks sharing, splits, binds.
    pub(super) fn plan(&self, gpu: &Gpu, mut variant: impl Mapped) -> Result<Plan, Error> {
        self.countable()?;
        self.resolve_sharing(&mut variant)?;
        let mut builder = PlanBuilder::new(gpu);
        let (vectors, elements) = (variant.clone().with_lanes(Lanes::Four), variant.with_lanes(Lanes::One));
        let aligned = self.aligned(&vectors);
        let mut start = 0;
        while start < self.len {
            let len = self.chunk(gpu, &elements.operands(), start)?;
            let bulk = if aligned && start.is_multiple_of(4) { len / 4 * 4 } else { 0 };
            for (first, count, variant) in [(start, bulk, &vectors), (start + bulk, len - bulk, &elements)] {
                if count > 0 {
                    self.dispatch(gpu, &mut builder, variant, first, count)?;
                }
            }
            start += len;
        }
        builder.finish()
    }

    fn dispatch(&self, gpu: &Gpu, builder: &mut PlanBuilder<'_>, variant: &impl Mapped, first: u64, count: u64) -> Result<(), Error> {
        let units = variant.lanes().count();
        let Channels { table, channels, inner } = self.channels;
        let mut params = Params {
            fence: 0,
            count: (count / units) as u32,
            first: (first / units) as u32,
            width: (self.width / units).max(1) as u32,
            channels: channels.max(1) as u32,
            inner: inner.max(1) as u32,
            learned_channels: table.max(1) as u32,
            bias_channels: self.bias_channels() as u32,
            offsets: [[0; 4]; 3],
            constants: variant.constants(),
            random: self.random.words(),
        };
        let mut bounds = Vec::new();
        let mut bound_names: Vec<String> = Vec::new();
        let operands = variant.operands();
        for (slot, operand) in operands.iter().enumerate() {
            let Some((bound, offset)) = self.bind(gpu, &operands, operand, first, count) else { continue };
            params.offsets[slot / 4][slot % 4] = offset;
            if !bound_names.contains(&operand.binding) {
                bound_names.push(operand.binding.clone());
                bounds.push(bound);
            }
        }
        let workgroups = (count / units).div_ceil(WORKGROUP * STEPS);
        builder.push(&variant.kernel(), bytemuck::bytes_of(&params), bounds, workgroups)
    }
}
