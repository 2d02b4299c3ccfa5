//! A product cut into dispatches: windows within the binding limit, grids within theirs, none that takes long.

use bytemuck::{Pod, Zeroable};

use super::checks::{self, Sharing};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Grid, Plan, PlanBuilder, Tensor};
use crate::quantised::WeightKind;
use crate::shader::Kernel;
use crate::shader::function::{Function, pack_constants};
use crate::shader::matmul::{Experts, Loop, Products, Variant};
use crate::shader::operand::Lanes;
use crate::tuning::{Problem, Strategy};

/// The uniform block of shaders/matmul/params.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Params {
    pub fence: u32,
    pub rows: u32,
    pub cols: u32,
    pub depth: u32,
    pub a_stride: u32,
    pub b_stride: u32,
    pub out_stride: u32,
    pub learned_channels: u32,
    pub first_col: u32,
    pub slices: u32,
    pub slice: u32,
    pub expert: u32,
    pub offsets: [[u32; 4]; 2],
    pub constants: [[f32; 4]; 5],
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub name: &'static str,
    pub tensor: &'a Tensor,
}

/// A checked product.
pub(crate) struct Product<'a> {
    pub gpu: &'a Gpu,
    pub function: &'a Function,
    pub products: Products,
    pub operands: Vec<Operand<'a>>,
    pub problem: Problem,
}

/// A part of something that is counted: where it starts, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: u64,
    pub len: u64,
}

impl Span {
    /// All of `len` in spans of `step`.
    pub(super) fn cut(len: u64, step: u64) -> impl Iterator<Item = Self> {
        (0..len).step_by(step.max(1) as usize).map(move |start| Self { start, len: (len - start).min(step) })
    }

    pub(super) const fn end(self) -> u64 {
        self.start + self.len
    }
}

/// Part of the product in one dispatch.
#[derive(Debug, Clone, Copy)]
struct Part {
    rows: Span,
    cols: Span,
    depth: Span,
    /// Slices of the depth, each of so many steps of four.
    slices: u64,
    slice: u64,
}

/// Most rows, columns and depth of one dispatch.
#[derive(Debug, Clone, Copy)]
struct Steps {
    rows: u64,
    cols: u64,
    depth: u64,
}

impl<'a> Product<'a> {
    /// In one kernel; where the depth is split, in two.
    pub(super) fn plan(&self, strategy: Strategy) -> Result<Plan, Error> {
        let variant = self.variant(strategy.looping, strategy.slices)?;
        let Problem { rows, cols, depth, .. } = self.problem;
        let [rows, cols, depth] = [rows, cols, depth].map(|n| n as u64);
        let slices = u64::from(strategy.slices.max(1));
        let mut steps = self.steps(&variant, slices)?;
        // Vectors of columns need every step to start at one.
        let variant =
            if steps.cols < cols && !steps.cols.is_multiple_of(4) { Variant { out_lanes: Lanes::One, ..variant } } else { variant };
        // A slice that a window cannot hold is a dispatch of its own.
        let apart = steps.depth < depth;
        let slice = depth.div_ceil(4).div_ceil(slices).clamp(1, steps.depth.div_ceil(4)).next_multiple_of(variant.step() / 4);
        let slices = depth.div_ceil(4).div_ceil(slice).max(1);
        let mut builder = PlanBuilder::new(self.gpu);
        // Of an empty output there is nothing to sum either.
        if slices == 1 || rows == 0 || cols == 0 {
            let kernel = variant.kernel();
            for (rows, cols) in spans(rows, cols, steps) {
                let part = Part { rows, cols, depth: Span { start: 0, len: depth }, slices: 1, slice };
                self.dispatch(&mut builder, &variant, &kernel, part)?;
            }
            return builder.finish();
        }
        let (sums, sum) = self.split(&variant);
        let kernels = (sums.kernel(), sum.kernel());
        steps.rows = steps.rows.min(rows);
        steps.cols = steps.cols.min(cols);
        // The slices' sums of one part; the next part overwrites them.
        let partials = self.gpu.zeros(&[(slices * steps.rows) as usize, steps.cols as usize], Element::F32)?;
        for (rows, cols) in spans(rows, cols, steps) {
            let partials = partials.view(0, &[(slices * rows.len) as usize, cols.len as usize])?;
            for first in (0..slices).step_by(if apart { 1 } else { slices as usize }) {
                let (start, end) = if apart { (first, first + 1) } else { (0, slices) };
                let depth = Span { start: 4 * slice * start, len: depth.min(4 * slice * end) - 4 * slice * start };
                let own =
                    partials.view((start * rows.len * cols.len) as usize, &[((end - start) * rows.len) as usize, cols.len as usize])?;
                let mut operands = self.operands.clone();
                operands.retain(|o| matches!(o.name, "a" | "b"));
                operands.push(Operand { name: "out", tensor: &own });
                let product = Product { function: &sums.function, products: Products::One, operands, ..*self };
                product.dispatch(&mut builder, &sums, &kernels.0, Part { rows, cols, depth, slices: end - start, slice })?;
            }
            let mut operands = self.operands.clone();
            operands.retain(|o| !matches!(o.name, "a" | "b"));
            operands.push(Operand { name: "a", tensor: &partials });
            let last = Product { operands, ..*self };
            last.dispatch(&mut builder, &sum, &kernels.1, Part { rows, cols, depth: Span { start: 0, len: depth }, slices, slice })?;
        }
        Ok(builder.finish()?.with_scratch(partials.buffer().size()))
    }

    /// Whether one kernel keeps the sums of a's rows besides: cooperative matrices and slices of a depth do not, and where
    /// there is no column there is no kernel. Refuses sums that share memory with another operand, whatever the strategy.
    pub(super) fn sums_besides(&self, strategy: Strategy) -> Result<bool, Error> {
        let variant = self.variant(strategy.looping, strategy.slices)?;
        let whole = self.steps(&variant, 1)?.depth >= self.problem.depth as u64;
        Ok(whole && strategy.slices <= 1 && self.problem.cols > 0 && !matches!(strategy.looping, Loop::Cooperative(_)))
    }

    /// Up first, into the output; then the gate's product works on it in place. Where the output holds the residual, up
    /// gets a buffer of the plan's own.
    pub(super) fn plan_unfused(&self, strategy: Strategy) -> Result<Plan, Error> {
        let find = |name| self.operands.iter().find(|o| o.name == name).map(|o| o.tensor);
        let Some(out) = find("out") else { return PlanBuilder::new(self.gpu).finish() };
        let identity = Function::Activation(Activation::Identity);
        out.expect_element("out of unfused products", Element::F32)?;
        let held = find("residual").is_some_and(|residual| residual.same_elements(out));
        let own = held.then(|| self.gpu.zeros(out.shape(), Element::F32)).transpose()?;
        let (middle, scratch) = own.as_ref().map_or((out, 0), |own| (own, own.buffer().size()));
        let names = [("a", "a"), ("b_up", "b"), ("bias_up", "bias")];
        let renamed = |o: &Operand<'a>| names.iter().find(|(from, _)| *from == o.name).map(|(_, name)| Operand { name, tensor: o.tensor });
        let mut operands: Vec<_> = self.operands.iter().filter_map(renamed).collect();
        operands.push(Operand { name: "out", tensor: middle });
        let up = Product { function: &identity, products: Products::One, operands, ..*self };
        let mut operands = self.operands.clone();
        operands.retain(|o| !matches!(o.name, "b_up" | "bias_up"));
        operands.push(Operand { name: "up", tensor: middle });
        let gate = Product { products: Products::Gate, operands, ..*self };
        Ok(up.plan(strategy)?.then(gate.plan(strategy)?).with_scratch(scratch))
    }

    /// Elements from one row of the weights in memory to the next; words, where they are packed.
    pub(super) fn b_width(&self) -> u64 {
        let depth = self.problem.depth;
        match self.problem.b {
            WeightKind::Plain(_) => depth as u64,
            WeightKind::Packed(packing) => packing.row_words(depth) as u64,
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a Tensor> {
        self.operands.iter().find(|o| o.name == name).map(|o| o.tensor)
    }

    /// The kernel for these operands, one of so many slices of the depth.
    pub(super) fn variant(&self, looping: Loop, slices: u32) -> Result<Variant, Error> {
        let Problem { cols, depth, a, b, out, transposed, .. } = self.problem;
        let (mut shared, mut in_place) = (Vec::new(), Vec::new());
        for name in ["out", "sums"] {
            let Some(written) = self.find(name) else { continue };
            for operand in self.operands.iter().filter(|o| o.name != name) {
                let elementwise = name == "out" && matches!(operand.name, "up" | "residual");
                match checks::sharing((operand.name, operand.tensor), (name, written), elementwise)? {
                    Sharing::Apart => {}
                    Sharing::Beside => shared.push(operand.name),
                    Sharing::InPlace => in_place.push(operand.name),
                }
            }
        }
        // Of an empty sum there is not even one vector to bind.
        let divisible = |names: &[&str], width: usize, by: u64| {
            let mut of = self.operands.iter().filter(|o| names.contains(&o.name));
            width > 0 && (width as u64).is_multiple_of(by) && of.all(|o| o.tensor.offset().is_multiple_of(by))
        };
        let vectors = |names: &[&str], width: usize| if divisible(names, width, 4) { Lanes::Four } else { Lanes::One };
        // Where more than the loads counts, wide ones do not pay.
        let wide = matches!(looping, Loop::Dot(..)) && self.gpu.capabilities().wide && slices == 1 && transposed == [false; 2];
        let depth_lanes = if b.element().is_none() {
            [vectors(&["a"], depth), Lanes::Four]
        } else if wide && divisible(&["a", "b", "b_up"], depth, 8) {
            [Lanes::Eight; 2]
        } else {
            [vectors(&["a"], depth), vectors(&["b", "b_up"], depth)]
        };
        Ok(Variant {
            looping,
            products: self.products,
            function: self.function.clone(),
            a,
            b,
            out,
            bias: self.find("bias").map(Tensor::element),
            up: self.find("up").map_or(out, Tensor::element),
            sums: (self.find("sums").map_or(out, Tensor::element), self.find("residual").is_some()),
            residual: self.find("residual").map(Tensor::element),
            transposed,
            depth_lanes,
            out_lanes: vectors(&["out", "up", "residual"], cols),
            learned: self.find("learned").is_some(),
            // Only devices of software are known to have it, and to have it exactly.
            built_in_halves: self.gpu.capabilities().wide,
            experts: Experts::None,
            in_place,
            shared,
        })
    }

    /// The two kernels of a split depth: the slices' sums, and their sum with the epilogue.
    fn split(&self, variant: &Variant) -> (Variant, Variant) {
        let apart = |names: &[&'static str]| names.iter().copied().filter(|name| !matches!(*name, "a" | "b")).collect();
        let sum = Variant { looping: Loop::Sum, a: Element::F32, shared: apart(&variant.shared), ..variant.clone() };
        let plain = Variant::new(variant.looping, Function::Activation(Activation::Identity));
        let Variant { a, b, transposed, depth_lanes, out_lanes, built_in_halves, .. } = variant.clone();
        (Variant { a, b, transposed, depth_lanes, out_lanes, built_in_halves, ..plain }, sum)
    }

    /// The largest dispatch.
    fn steps(&self, variant: &Variant, slices: u64) -> Result<Steps, Error> {
        let Problem { cols, depth, transposed, .. } = self.problem;
        let [all_rows, cols, depth] = [self.problem.rows, cols, depth].map(|n| n as u64);
        let limits = self.gpu.limits();
        let side = u64::from(limits.max_compute_workgroups_per_dimension);
        let tile = variant.looping.side(self.products == Products::GateUp);
        let most = |operand: &Operand<'_>| Bound::max_elements(self.gpu, operand.tensor);
        let mut steps = Steps { rows: side * tile[0], cols: side * tile[1], depth: depth.max(1) };
        let mut whole = u64::MAX;
        for operand in &self.operands {
            // A row as it lies in memory, and what counts the rows.
            let (width, max) = match operand.name {
                "a" if transposed[0] => (all_rows, &mut steps.depth),
                "b" | "b_up" if transposed[1] => (cols, &mut steps.depth),
                "a" => (depth, &mut steps.rows),
                "b" | "b_up" => (self.b_width(), &mut steps.cols),
                "out" | "up" | "residual" => (cols, &mut steps.rows),
                _ => (operand.tensor.len() as u64, &mut whole),
            };
            if width > most(operand) {
                return Err(Error::Limit { what: "elements of a row", required: width, allowed: most(operand) });
            }
            *max = (*max).min(most(operand) / width.max(1));
        }
        if steps.depth < depth {
            if self.products == Products::GateUp {
                return Err(Error::Limit { what: "rows of a transposed operand of two products", required: depth, allowed: steps.depth });
            }
            steps.depth = steps.depth / 4 * 4;
            if steps.depth == 0 {
                return Err(Error::Limit { what: "elements of four rows", required: 4 * all_rows.max(cols), allowed: 0 });
            }
        }
        // A dispatch of a second or more is killed by some drivers.
        let macs = most_macs(self.gpu) / if self.products == Products::GateUp { 2 } else { 1 };
        let wide = steps.cols.min(cols).max(1);
        let tall = macs / (wide * depth.max(1));
        if tall >= tile[0] {
            steps.rows = steps.rows.min(tall);
        } else {
            steps.rows = steps.rows.min(tile[0]);
            steps.cols = steps.cols.min((macs / (steps.rows * depth.max(1))).max(tile[1]));
        }
        let slices = slices.max(depth.div_ceil(steps.depth));
        if slices > 1 {
            // The slices' sums are one window, and each of their rows is a workgroup's.
            let elements = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / Element::F32.size() - 64;
            steps.rows = steps.rows.min(side).min(elements.min(Tensor::MOST_ELEMENTS) / (slices * steps.cols.min(cols)).max(1));
            if steps.rows == 0 {
                return Err(Error::Limit { what: "elements of a row's slices", required: slices * cols, allowed: elements });
            }
        }
        // Whole tiles, so that only the last is ragged.
        let whole = |n: u64, tile: u64| if n > tile { n / tile * tile } else { n };
        let cols_of_tile = if (4..tile[1]).contains(&steps.cols) { steps.cols / 4 * 4 } else { whole(steps.cols, tile[1]) };
        Ok(Steps { rows: whole(steps.rows, tile[0]), cols: cols_of_tile, ..steps })
    }

    fn dispatch(&self, builder: &mut PlanBuilder<'_>, variant: &Variant, kernel: &Kernel, part: Part) -> Result<(), Error> {
        let Problem { rows, cols, depth, transposed, .. } = self.problem;
        let [rows, cols, depth] = [rows, cols, depth].map(|n| n as u64);
        let Part { rows: row, cols: col, depth: k, .. } = part;
        let learned = self.find("learned").map_or(0, Tensor::len);
        // Sums of slices lie in a tensor of their own, as wide as this part.
        let (sums, sum) = (part.slices > 1 || k.len < depth, variant.looping == Loop::Sum);
        let out_cols = if sums && !sum { col.len } else { cols };
        // Where rows of op(operand) lie: the first element, the last one's end, and from one row in memory to the next.
        let place = |across: Span, all: u64, transposed: bool, row: u64| {
            let width = if transposed { all } else { row };
            let at = |row: u64, k: u64| if transposed { k * width + row } else { row * width + k };
            let last = at(across.start + across.len.max(1) - 1, k.start + k.len.max(1) - 1) + 1;
            let end = if across.len == 0 || k.len == 0 { 0 } else { last };
            (at(across.start, k.start), end, at(across.start, k.start), width)
        };
        let mut params = Params {
            rows: row.len as u32,
            cols: col.len as u32,
            depth: k.len as u32,
            learned_channels: (learned / self.function.learnable_len().max(1)).max(1) as u32,
            first_col: col.start as u32,
            slices: part.slices as u32,
            slice: (4 * part.slice / variant.step()) as u32,
            constants: pack_constants(&variant.function.constants()),
            ..Params::zeroed()
        };
        let mut bounds: Vec<(String, Bound)> = Vec::new();
        for (slot, operand) in variant.operands().into_iter().enumerate() {
            let Some(tensor) = self.find(operand.name) else { continue };
            let lanes = operand.lanes.count();
            let (first, end, origin, width) = match operand.name {
                "a" if sum => (0, tensor.len() as u64, 0, col.len),
                "a" => place(row, rows, transposed[0], depth),
                "b" | "b_up" if variant.packing().is_some() => {
                    let width = self.b_width();
                    (col.start * width, (col.start + col.len) * width, col.start * width, width)
                }
                "b" | "b_up" => place(col, cols, transposed[1], depth),
                "sums" => (row.start, row.start + row.len, row.start, 1),
                "out" if sums && !sum => (0, tensor.len() as u64, 0, out_cols),
                "out" | "up" | "residual" => (row.start * cols, (row.start + row.len) * cols, row.start * cols + col.start, cols),
                _ => (0, tensor.len() as u64, 0, 1),
            };
            match operand.name {
                "a" => params.a_stride = (width / lanes) as u32,
                "b" => params.b_stride = (width / lanes) as u32,
                "out" => params.out_stride = (width / lanes) as u32,
                _ => {}
            }
            let (bound, base) = Bound::window(self.gpu, tensor, first, end, operand.lanes);
            params.offsets[slot / 4][slot % 4] = base.wrapping_add((origin / lanes) as u32);
            if !bounds.iter().any(|(binding, _)| *binding == operand.binding) {
                bounds.push((operand.binding, bound));
            }
        }
        let [tile_rows, tile_cols] = variant.looping.side(self.products == Products::GateUp);
        let depth_slices = if sum { 1 } else { part.slices };
        let grid = [col.len.div_ceil(tile_cols), row.len.div_ceil(tile_rows), depth_slices].map(|n| n as u32);
        builder.push_grid(kernel, bytemuck::bytes_of(&params), bounds.into_iter().map(|(_, bound)| bound).collect(), Grid::Fixed(grid))
    }
}

/// Every part of the output that is one dispatch.
fn spans(rows: u64, cols: u64, steps: Steps) -> impl Iterator<Item = (Span, Span)> {
    Span::cut(rows, steps.rows).flat_map(move |row| Span::cut(cols, steps.cols).map(move |col| (row, col)))
}

/// Multiplications that take well under a second on the slowest device of each kind.
pub(crate) fn most_macs(gpu: &Gpu) -> u64 {
    match gpu.info().device_type {
        _ if gpu.is_software() => 1 << 31,
        wgpu::DeviceType::DiscreteGpu => 1 << 37,
        _ => 1 << 34,
    }
}
