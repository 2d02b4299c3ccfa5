//! Products of experts: rows of the output, or the depth, belong to experts, whose weights lie one after the other. How many
//! rows are whose, only the device knows.

use bytemuck::Zeroable;

use super::product::{Operand, Params, Product, Span, most_macs};
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Bound, Gpu, Grid, Plan, PlanBuilder, Tensor};
use crate::shader::function::pack_constants;
use crate::shader::matmul::{Experts, Loop, Products, Variant};
use crate::shader::operand::Lanes;

/// The rows of experts: where each one's are, and whose each is.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    /// Words: `[2 (experts + 1)]`, first row and end of each; then `[2 rows]`, token and expert of each.
    pub table: Tensor,
    pub experts: usize,
    /// Rows that there are at most, those that fill blocks included.
    pub rows: usize,
}

impl Groups {
    /// Words before those of the rows.
    pub(crate) const fn head(experts: usize) -> usize {
        2 * (experts + 1)
    }
}

/// Grids that the device computes.
#[derive(Debug, Default)]
pub(crate) struct Grids {
    /// Of each dispatch: columns of workgroups, first expert and the one after the last, rows of a workgroup.
    pub dispatches: Vec<[u32; 4]>,
}

impl Grids {
    /// Bytes from one grid to the next.
    const STRIDE: u64 = 16;
}

/// A checked product of experts. Its problem's rows (its depth, if that belongs to experts) are all of [`Groups::rows`].
pub(crate) struct ExpertsProduct<'a> {
    pub product: Product<'a>,
    pub groups: &'a Groups,
    pub experts: Experts,
    pub looping: Loop,
}

/// One dispatch.
#[derive(Debug, Clone, Copy)]
struct Part {
    experts: Span,
    /// Of each expert's own output, or of all rows.
    rows: Span,
    cols: Span,
    depth: Span,
}

impl ExpertsProduct<'_> {
    fn gpu(&self) -> &Gpu {
        self.product.gpu
    }

    fn by_rows(&self) -> bool {
        matches!(self.experts, Experts::Rows { .. })
    }

    fn gated(&self) -> bool {
        self.product.products == Products::GateUp
    }

    /// Rows, columns, depth.
    fn sizes(&self) -> [u64; 3] {
        let problem = &self.product.problem;
        [problem.rows, problem.cols, problem.depth].map(|n| n as u64)
    }

    /// What every expert has a part of: the weights, or the output.
    fn is_stacked(&self, name: &str) -> bool {
        if self.by_rows() { matches!(name, "b" | "b_up") } else { matches!(name, "out" | "residual") }
    }

    /// Every dispatch: experts whose part of a tensor fits a window, or parts of one expert's; and columns that take no
    /// longer than they may.
    fn parts(&self) -> Result<Vec<Part>, Error> {
        let [rows, cols, depth] = self.sizes();
        if self.by_rows() && rows == 0 {
            return Ok(Vec::new());
        }
        let side = u64::from(self.gpu().limits().max_compute_workgroups_per_dimension);
        let [tile_rows, tile_cols] = self.looping.side(self.gated());
        let most = |o: &Operand<'_>| Bound::max_elements(self.gpu(), o.tensor);
        for operand in self.product.operands.iter().filter(|o| !self.is_stacked(o.name)) {
            let (required, allowed) = (operand.tensor.len() as u64, most(operand));
            if required > allowed {
                return Err(Error::Limit { what: "elements of an operand of experts", required, allowed });
            }
        }
        let allowed = self.product.operands.iter().filter(|o| self.is_stacked(o.name)).map(most).min().unwrap_or(0);
        // Of packed weights, words.
        let width = if self.product.problem.transposed[1] { depth } else { self.product.b_width() };
        let each = if self.by_rows() { cols * width } else { rows * cols };
        let mut step = Part {
            experts: Span { start: 0, len: (allowed / each.max(1)).clamp(1, side) },
            rows: Span { start: 0, len: rows.min(side * tile_rows) },
            cols: Span { start: 0, len: cols.min(side * tile_cols) },
            depth: Span { start: 0, len: depth.max(1) },
        };
        if each > allowed {
            // One row of memory must fit, and four of a transposed weight.
            let (width, cut, fewest) = match (self.by_rows(), self.product.problem.transposed[1]) {
                (true, false) => (width, &mut step.cols, 1),
                (true, true) => (cols, &mut step.depth, 4),
                (false, _) => (cols, &mut step.rows, 1),
            };
            cut.len = cut.len.min(allowed / width / fewest * fewest);
            if cut.len == 0 {
                return Err(Error::Limit { what: "elements of a row of an expert's weight", required: fewest * width, allowed });
            }
        }
        if self.by_rows() && rows.div_ceil(tile_rows) > side {
            return Err(Error::Limit { what: "rows of experts", required: rows, allowed: side * tile_rows });
        }
        let macs = most_macs(self.gpu()) / if self.gated() { 2 } else { 1 };
        let column = if self.by_rows() { rows * step.depth.len } else { self.groups.rows as u64 * step.rows.len };
        step.cols.len = step.cols.len.min((macs / column.max(1)).max(tile_cols));
        if step.cols.len < cols && step.cols.len >= tile_cols {
            step.cols.len = step.cols.len / tile_cols * tile_cols;
        }
        let experts = Span::cut(self.groups.experts as u64, step.experts.len);
        let rows_of = || if self.by_rows() { vec![Span { start: 0, len: rows }] } else { Span::cut(rows, step.rows.len).collect() };
        // Of an empty sum there is one part, too.
        let depths = || Span::cut(depth.max(1), step.depth.len).map(|k| Span { len: k.len.min(depth), ..k }).collect::<Vec<_>>();
        let parts = experts.flat_map(|experts| rows_of().into_iter().map(move |rows| (experts, rows)));
        let parts = parts.flat_map(|(experts, rows)| Span::cut(cols, step.cols.len).map(move |cols| (experts, rows, cols)));
        Ok(parts.flat_map(|(experts, rows, cols)| depths().into_iter().map(move |depth| Part { experts, rows, cols, depth })).collect())
    }

    /// Notes the grids of its dispatches; the number of the first.
    pub(crate) fn reserve(&self, grids: &mut Grids) -> Result<usize, Error> {
        let first = grids.dispatches.len();
        if self.by_rows() {
            let [tile_rows, tile_cols] = self.looping.side(self.gated());
            let grid =
                |part: Part| [part.cols.len.div_ceil(tile_cols), part.experts.start, part.experts.end(), tile_rows].map(|n| n as u32);
            grids.dispatches.extend(self.parts()?.into_iter().map(grid));
        }
        Ok(first)
    }

    /// The dispatches, whose grids are in `grids` from number `first` on.
    pub(crate) fn plan(&self, grids: &wgpu::Buffer, first: usize) -> Result<Plan, Error> {
        let mut variant = Variant { experts: self.experts, ..self.product.variant(self.looping, 1)? };
        let parts = self.parts()?;
        if parts.iter().any(|part| !part.cols.start.is_multiple_of(4)) {
            variant.out_lanes = Lanes::One;
        }
        // What does not fit a window is added up in place.
        let more = Variant { residual: Some(variant.out), in_place: vec!["residual"], ..variant.clone() };
        let out = self.product.find("out");
        let mut builder = PlanBuilder::new(self.gpu());
        for (number, part) in parts.into_iter().enumerate() {
            let again = part.depth.start > 0;
            if again && (self.product.problem.out != Element::F32 || self.gated()) {
                return Err(Error::Limit { what: "parts of an expert's weight", required: 2, allowed: 1 });
            }
            let grid = if self.by_rows() {
                Grid::Indirect(grids.clone(), (first + number) as u64 * Grids::STRIDE)
            } else {
                let [tile_rows, tile_cols] = self.looping.side(self.gated());
                Grid::Fixed([part.cols.len.div_ceil(tile_cols), part.rows.len.div_ceil(tile_rows), part.experts.len].map(|n| n as u32))
            };
            self.dispatch(&mut builder, if again { (&more, out) } else { (&variant, None) }, part, grid)?;
        }
        builder.finish()
    }

    fn dispatch(
        &self,
        builder: &mut PlanBuilder<'_>,
        (variant, residual): (&Variant, Option<&Tensor>),
        part: Part,
        grid: Grid,
    ) -> Result<(), Error> {
        let [all_rows, all_cols, all_depth] = self.sizes();
        let Part { experts, rows, cols, depth } = part;
        let by_rows = self.by_rows();
        let mut params = Params {
            rows: rows.len as u32,
            cols: cols.len as u32,
            depth: depth.len as u32,
            learned_channels: 1,
            first_col: cols.start as u32,
            slices: 1,
            expert: experts.start as u32,
            constants: pack_constants(&variant.function.constants()),
            ..Params::zeroed()
        };
        let mut bounds: Vec<(String, Bound)> = Vec::new();
        for (slot, operand) in variant.operands().into_iter().enumerate() {
            let tensor = match operand.name {
                "segments" | "members" => &self.groups.table,
                "residual" if residual.is_some() => residual.unwrap_or(&self.groups.table),
                name => match self.product.find(name) {
                    Some(tensor) => tensor,
                    None => continue,
                },
            };
            let whole = (0, tensor.len() as u64);
            // The window's first element and end, where the kernel's row 0 or expert 0 would lie, and from row to row. Places
            // are counted modulo 2^32, as the kernel counts them: those outside the window are never formed.
            let ((first, end), origin, width) = match (operand.name, by_rows) {
                ("a", true) => (whole, depth.start, all_depth),
                ("b" | "b_up", true) if variant.transposed[1] => {
                    let at = |expert: u64, k: u64, col: u64| (expert * all_depth + k) * all_cols + col;
                    // Before a part of the depth, the kernel counts that part once for each expert.
                    let origin = experts.start * (all_depth - depth.len) * all_cols + at(0, depth.start, cols.start);
                    let end = at(experts.end() - 1, depth.end().max(1) - 1, cols.end());
                    ((at(experts.start, depth.start, cols.start), end.min(whole.1)), origin, all_cols)
                }
                ("b" | "b_up", true) => {
                    let width = self.product.b_width();
                    let at = |expert: u64, col: u64| (expert * all_cols + col) * width;
                    ((at(experts.start, cols.start), at(experts.end() - 1, cols.end())), at(0, cols.start), width)
                }
                ("a", false) => (whole, rows.start, all_rows),
                ("b", false) => (whole, cols.start, all_cols),
                ("out" | "residual", false) => {
                    let at = |expert: u64, row: u64| (expert * all_rows + row) * all_cols;
                    let window = (at(experts.start, rows.start), at(experts.end() - 1, rows.end()));
                    (window, window.0 + cols.start, all_cols)
                }
                ("sums", _) => (whole, experts.start * all_rows + rows.start, 1),
                ("out" | "up" | "residual", true) => (whole, cols.start, all_cols),
                ("members", _) => (whole, Groups::head(self.groups.experts) as u64, 1),
                _ => (whole, 0, 1),
            };
            let lanes = operand.lanes.count();
            match operand.name {
                "a" => params.a_stride = (width / lanes) as u32,
                "b" => params.b_stride = (width / lanes) as u32,
                "out" => params.out_stride = (width / lanes) as u32,
                _ => {}
            }
            let (bound, base) = Bound::window(self.gpu(), tensor, first, end, operand.lanes);
            params.offsets[slot / 4][slot % 4] = base.wrapping_add((origin / lanes) as u32);
            if !bounds.iter().any(|(binding, _)| *binding == operand.binding) {
                bounds.push((operand.binding, bound));
            }
        }
        builder.push_grid(&variant.kernel(), bytemuck::bytes_of(&params), bounds.into_iter().map(|(_, bound)| bound).collect(), grid)
    }
}
