//! What lies around the products of a mixture's experts: the choice of experts, the order of rows that follows from it, and
//! the ways from tokens to rows and back.

use bytemuck::{Pod, Zeroable};

use super::experts::{Grids, Groups};
use super::steps::bind_units;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::routing::Routing;
use crate::shader::Kernel;
use crate::shader::mixture::{self, Combine};
use crate::shader::operand::Lanes;

/// The uniform block of shaders/mixture/params.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Params {
    pub fence: u32,
    pub tokens: u32,
    pub experts: u32,
    pub top_k: u32,
    pub width: u32,
    pub block: u32,
    pub dispatches: u32,
    pub normalise: u32,
    pub scale: f32,
    pub padding: [u32; 3],
    pub offsets: [[u32; 4]; 2],
}

/// Sizes that all of it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub tokens: usize,
    pub experts: usize,
    pub top_k: usize,
}

impl Sizes {
    pub(crate) const fn slots(self) -> usize {
        self.tokens * self.top_k
    }

    /// Most rows of experts whose shares are rounded up to multiples of `block`.
    pub(crate) fn rows(self, block: usize) -> usize {
        (self.slots() + self.experts.min(self.slots()) * (block - 1)) / block * block
    }

    fn params(self) -> Params {
        let [tokens, experts, top_k] = [self.tokens, self.experts, self.top_k].map(|n| n as u32);
        Params { tokens, experts, top_k: top_k.max(1), width: 1, block: 1, scale: 1.0, ..Params::zeroed() }
    }
}

/// One dispatch over whole tensors.
fn launch(gpu: &Gpu, kernel: &Kernel, mut params: Params, tensors: &[(&Tensor, Lanes)], workgroups: usize) -> Result<Plan, Error> {
    for (tensor, _) in tensors {
        let (required, allowed) = (tensor.len() as u64, Bound::max_elements(gpu, tensor));
        if required > allowed {
            return Err(Error::Limit { what: "elements of an operand of a mixture", required, allowed });
        }
    }
    let bounds = bind_units(gpu, tensors, params.offsets.as_flattened_mut());
    let mut builder = PlanBuilder::new(gpu);
    if workgroups > 0 {
        builder.push(kernel, bytemuck::bytes_of(&params), bounds, workgroups as u64)?;
    }
    builder.finish()
}

/// The same tokens of all tensors, as many at a time as fit windows and grids.
fn in_parts(gpu: &Gpu, tensors: &[&Tensor], plan: impl Fn(&[Tensor]) -> Result<Plan, Error>) -> Result<Plan, Error> {
    let tokens = tensors.first().map_or(0, |tensor| tensor.rows_cols().0);
    let most = |tensor: &&Tensor| Bound::max_elements(gpu, tensor) / (tensor.rows_cols().1 as u64).max(1);
    // A token is a workgroup, at most.
    let side = u64::from(gpu.limits().max_compute_workgroups_per_dimension);
    let step = tensors.iter().map(most).min().unwrap_or(1).min(side * side).clamp(1, Tensor::MOST_ELEMENTS) as usize;
    let mut all = PlanBuilder::new(gpu).finish()?;
    for first in (0..tokens).step_by(step) {
        let count = step.min(tokens - first);
        let rows = |tensor: &&Tensor| tensor.view(first * tensor.rows_cols().1, &[count, tensor.rows_cols().1]);
        all = all.then(plan(&tensors.iter().map(rows).collect::<Result<Vec<_>, _>>()?)?);
    }
    Ok(all)
}

/// Element by element.
fn ones<const N: usize>(tensors: [&Tensor; N]) -> [(&Tensor, Lanes); N] {
    tensors.map(|tensor| (tensor, Lanes::One))
}

/// Vectors where all rows start at one.
fn lanes_of(tensors: &[&Tensor], width: usize) -> Lanes {
    let whole = width.is_multiple_of(4) && tensors.iter().all(|tensor| tensor.offset().is_multiple_of(4));
    if whole { Lanes::Four } else { Lanes::One }
}

/// Where each token goes: what was chosen from `logits`.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    /// `[tokens, experts]`.
    pub logits: Tensor,
    /// `[tokens, top_k]`, numbers of experts.
    pub experts: Tensor,
    /// `[tokens, top_k]`.
    pub weights: Tensor,
}

impl Choices {
    fn params(&self, routing: &Routing) -> (Sizes, Params) {
        let (tokens, experts) = self.logits.rows_cols();
        let sizes = Sizes { tokens, experts, top_k: routing.top_k };
        (sizes, Params { normalise: routing.normalise.into(), scale: routing.scale, ..sizes.params() })
    }

    /// Experts and weights.
    pub(crate) fn plan(&self, gpu: &Gpu, routing: &Routing, bias: Option<&Tensor>) -> Result<Plan, Error> {
        let kernel = mixture::choose(routing.scoring, bias.map(Tensor::element));
        in_parts(gpu, &[&self.logits, &self.experts, &self.weights], |rows| {
            let part = Self { logits: rows[0].clone(), experts: rows[1].clone(), weights: rows[2].clone() };
            let (sizes, params) = part.params(routing);
            let mut tensors = ones([&part.logits, &part.experts, &part.weights]).to_vec();
            tensors.extend(bias.map(|bias| (bias, Lanes::One)));
            launch(gpu, &kernel, params, &tensors, sizes.tokens)
        })
    }

    /// The gradients of the logits from those of the weights.
    pub(crate) fn gradient(&self, gpu: &Gpu, routing: &Routing, dweights: &Tensor, dlogits: &Tensor) -> Result<Plan, Error> {
        let kernel = mixture::choose_grad(routing.scoring);
        in_parts(gpu, &[&self.logits, &self.experts, &self.weights, dweights, dlogits], |rows| {
            let part = Self { logits: rows[0].clone(), experts: rows[1].clone(), weights: rows[2].clone() };
            let (sizes, params) = part.params(routing);
            let tensors: Vec<_> = rows.iter().map(|tensor| (tensor, Lanes::One)).collect();
            launch(gpu, &kernel, params, &tensors, sizes.tokens.div_ceil(64))
        })
    }

    /// How many tokens chose each expert.
    pub(crate) fn count(&self, gpu: &Gpu, counts: &Tensor) -> Result<Plan, Error> {
        let (tokens, top_k) = self.experts.rows_cols();
        let sizes = Sizes { tokens, experts: counts.len(), top_k };
        launch(gpu, &mixture::count(), sizes.params(), &ones([&self.experts, counts]), sizes.experts)
    }

    /// Those of so many tokens from `first` on.
    pub(crate) fn part(&self, first: usize, tokens: usize) -> Result<Self, Error> {
        let rows = |of: &Tensor| of.view(first * of.rows_cols().1, &[tokens, of.rows_cols().1]);
        Ok(Self { logits: rows(&self.logits)?, experts: rows(&self.experts)?, weights: rows(&self.weights)? })
    }
}

/// Rows in the order of experts, and within one of them in that of tokens.
#[derive(Debug)]
pub(crate) struct Order {
    pub groups: Groups,
    sizes: Sizes,
    block: usize,
    counts: Tensor,
    /// Words: the row of each slot.
    places: Tensor,
    dispatches: Tensor,
    grids: Tensor,
    count: usize,
}

impl Order {
    /// Room for it. `block` is a multiple of the rows that every loop computes at a time.
    pub(crate) fn new(gpu: &Gpu, sizes: Sizes, block: usize, rows: usize) -> Result<Self, Error> {
        let words = |len: usize| gpu.zeros(&[len], Element::F32);
        let table = words(Groups::head(sizes.experts) + 2 * rows)?;
        Ok(Self {
            groups: Groups { table, experts: sizes.experts, rows },
            sizes,
            block,
            counts: words(sizes.experts)?,
            places: words(sizes.slots())?,
            dispatches: words(0)?,
            grids: words(0)?,
            count: 0,
        })
    }

    /// Gives the dispatches of products their grids.
    pub(crate) fn with_grids(self, gpu: &Gpu, grids: &Grids) -> Result<Self, Error> {
        let words = grids.dispatches.as_flattened();
        let dispatches = gpu.tensor_from_bytes(bytemuck::cast_slice(words), &[words.len()], Element::F32)?;
        let size = (words.len() as u64 * 4).max(16);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::INDIRECT | wgpu::BufferUsages::COPY_SRC;
        let grids = Tensor::from_buffer(&gpu.buffer("grids", size, usage)?, 0, &[size as usize / 4], Element::F32)?;
        Ok(Self { dispatches, grids, count: words.len() / 4, ..self })
    }

    /// Where the grids are.
    pub(crate) fn grids(&self) -> &wgpu::Buffer {
        self.grids.buffer()
    }

    /// Bytes of its buffers.
    pub(crate) fn bytes(&self) -> u64 {
        let tensors = [&self.groups.table, &self.counts, &self.places, &self.dispatches, &self.grids];
        tensors.iter().map(|tensor| tensor.buffer().size()).sum()
    }

    /// Counts, adds up and places.
    pub(crate) fn plan(&self, gpu: &Gpu, choices: &Choices) -> Result<Plan, Error> {
        let params = Params { block: self.block as u32, dispatches: self.count as u32, ..self.sizes.params() };
        let count = choices.count(gpu, &self.counts)?;
        let tensors = ones([&self.counts, &self.dispatches, &self.groups.table, &self.grids]);
        let segments = launch(gpu, &mixture::segments(), params, &tensors, 1)?;
        // Segments and members are one binding.
        let mut params = params;
        let mut bounds = Vec::new();
        for (slot, tensor) in [(0, &choices.experts), (1, &self.groups.table), (3, &self.places)] {
            let (bound, offset) = Bound::whole(gpu, tensor, Lanes::One);
            params.offsets[0][slot] = offset;
            bounds.push(bound);
        }
        params.offsets[0][2] = params.offsets[0][1].wrapping_add(Groups::head(self.sizes.experts) as u32);
        let mut builder = PlanBuilder::new(gpu);
        builder.push(&mixture::place(), bytemuck::bytes_of(&params), bounds, self.sizes.experts as u64)?;
        Ok(count.then(segments).then(builder.finish()?))
    }

    /// Rows `[.., width]` that a token's slots lead to, added up, times their weights where there are any, plus the shared
    /// expert's.
    pub(crate) fn combine(&self, gpu: &Gpu, args: &CombineArgs<'_>) -> Result<Plan, Error> {
        let CombineArgs { rows, weights, shared, y } = *args;
        let width = y.rows_cols().1;
        let shared_rows = shared.map(|(shared, _)| shared);
        let lanes = lanes_of(&[Some(rows), Some(y), shared_rows].into_iter().flatten().collect::<Vec<_>>(), width);
        let variant =
            Combine { y: y.element(), lanes, weighted: weights.is_some(), shared: shared.map(|(_, sigmoids)| sigmoids.is_some()) };
        let units = width / lanes.count() as usize;
        let params = Params { width: units.max(1) as u32, ..self.sizes.params() };
        let mut tensors = vec![(rows, lanes), (&self.places, Lanes::One), (y, lanes)];
        tensors.extend(weights.map(|weights| (weights, Lanes::One)));
        tensors.extend(shared_rows.map(|shared| (shared, lanes)));
        tensors.extend(shared.and_then(|(_, sigmoids)| sigmoids).map(|sigmoids| (sigmoids, Lanes::One)));
        launch(gpu, &variant.kernel(), params, &tensors, (self.sizes.tokens * units).div_ceil(64))
    }

    /// Gradients of rows from those of tokens: each slot's weight times dy.
    pub(crate) fn spread(&self, gpu: &Gpu, dy: &Tensor, weights: &Tensor, rows: &Tensor) -> Result<Plan, Error> {
        let width = dy.rows_cols().1;
        let lanes = lanes_of(&[dy, rows], width);
        let units = width / lanes.count() as usize;
        let params = Params { width: units.max(1) as u32, ..self.sizes.params() };
        let tensors = [(dy, lanes), (weights, Lanes::One), (&self.places, Lanes::One), (rows, lanes)];
        launch(gpu, &mixture::spread(dy.element(), lanes), params, &tensors, (self.sizes.slots() * units).div_ceil(64))
    }

    /// Gradients of weights: the products of dy and rows.
    pub(crate) fn weights_gradient(&self, gpu: &Gpu, dy: &Tensor, rows: &Tensor, dweights: &Tensor) -> Result<Plan, Error> {
        let params = Params { width: dy.rows_cols().1 as u32, ..self.sizes.params() };
        launch(gpu, &mixture::weights_grad(dy.element()), params, &ones([dy, rows, &self.places, dweights]), self.sizes.slots())
    }
}

/// What is added up for each token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CombineArgs<'a> {
    pub rows: &'a Tensor,
    pub weights: Option<&'a Tensor>,
    /// `[tokens, width]` f32, and what a sigmoid of each token is of.
    pub shared: Option<(&'a Tensor, Option<&'a Tensor>)>,
    pub y: &'a Tensor,
}

/// Of sigmoid(logit) s for each token: the gradients of s and of the logits, from dy.
pub(crate) fn shared_gradient(gpu: &Gpu, dy: &Tensor, [s, logits, ds, dlogits]: [&Tensor; 4]) -> Result<Plan, Error> {
    let kernel = mixture::shared_grad(dy.element());
    in_parts(gpu, &[dy, s, logits, ds, dlogits], |rows| {
        let (tokens, width) = rows[0].rows_cols();
        let params = Params { width: width as u32, ..Sizes { tokens, experts: 1, top_k: 1 }.params() };
        let tensors: Vec<_> = rows.iter().map(|tensor| (tensor, Lanes::One)).collect();
        launch(gpu, &kernel, params, &tensors, tokens)
    })
}
