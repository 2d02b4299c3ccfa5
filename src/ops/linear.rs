//! Products with an epilogue: out = f(a w^T + bias), and the dual product of a gate.

use bytemuck::{Pod, Zeroable};

use super::checks::{self, Sharing};
use crate::activation::Activation;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Bound, Gpu, Plan, PlanBuilder, Tensor};
use crate::shader::function::{Function, pack_constants};
use crate::shader::matmul::{Loop, Variant};
use crate::shader::operand::Lanes;

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
    pub padding: [u32; 3],
    pub offsets: [[u32; 4]; 2],
    pub constants: [[f32; 4]; 5],
}

/// A linear layer with its activation or gate, on a device.
#[derive(Debug, Clone)]
pub struct Linear {
    gpu: Gpu,
    function: Function,
    looping: Loop,
}

/// Weights in PyTorch's layout `[out, in]`, with biases `[out]`.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// One product.
    One {
        /// `[out, in]`.
        weight: &'a Tensor,
        /// `[out]`.
        bias: Option<&'a Tensor>,
    },
    /// Two products, of which only the gate's result is stored.
    GateUp {
        /// `[out, in]`.
        gate: &'a Tensor,
        /// `[out, in]`, of the same kind.
        up: &'a Tensor,
        /// `[out]` for gate and for up.
        bias: Option<(&'a Tensor, &'a Tensor)>,
    },
}

/// Operands of out = f(a w^T + bias).
#[derive(Debug, Clone, Copy)]
pub struct LinearArgs<'a> {
    /// `[.., in]`.
    pub a: &'a Tensor,
    /// Weights and biases. A gate needs [`Weights::GateUp`], an activation [`Weights::One`].
    pub weights: Weights<'a>,
    /// `[.., out]`, in any kind.
    pub out: &'a Tensor,
    /// Learnable parameters of the activation; their channels are the columns of `out`.
    pub parameters: Option<&'a Tensor>,
}

struct Operand<'a> {
    name: &'static str,
    tensor: &'a Tensor,
}

impl Linear {
    /// One product with an activation after it.
    pub fn new(gpu: &Gpu, activation: Activation) -> Self {
        Self::of(gpu, Function::Activation(activation))
    }

    /// Gate and up as one kernel.
    pub fn gated(gpu: &Gpu, gate: Gate) -> Self {
        Self::of(gpu, Function::Gate(gate))
    }

    fn of(gpu: &Gpu, function: Function) -> Self {
        let looping = Loop::preferred(gpu.is_software());
        Self { gpu: gpu.clone(), function, looping }
    }

    /// The same with a loop of the caller's choice.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device has too little workgroup memory for it.
    pub fn with_loop(self, looping: Loop) -> Result<Self, Error> {
        let required = looping.workgroup_bytes(matches!(self.function, Function::Gate(_)));
        let allowed = self.gpu.limits().max_compute_workgroup_storage_size;
        if required > allowed {
            return Err(Error::Limit { what: "bytes of workgroup memory", required: required.into(), allowed: allowed.into() });
        }
        Ok(Self { looping, ..self })
    }

    /// The product.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which f is undefined.
    pub fn plan(&self, args: LinearArgs<'_>) -> Result<Plan, Error> {
        checks::parameters(&self.function)?;
        let (operands, cols) = self.operands(&args)?;
        let (rows, depth) = args.a.rows_cols();
        if args.a.shape().is_empty() {
            return Err(Error::Shape { operand: "a", expected: "[.., in]".into(), actual: Vec::new() });
        }
        let mut out_shape = args.a.shape().to_vec();
        if let Some(last) = out_shape.last_mut() {
            *last = cols;
        }
        args.out.expect_shape("out", &out_shape)?;
        let mut shared = Vec::new();
        for operand in operands.iter().filter(|o| o.name != "out") {
            match checks::sharing((operand.name, operand.tensor), ("out", args.out), false)? {
                Sharing::Apart => {}
                Sharing::Beside | Sharing::InPlace => shared.push(operand.name),
            }
        }
        let vectors = |tensor: &Tensor, width: usize| tensor.offset().is_multiple_of(4) && width.is_multiple_of(4);
        // Of an empty sum there is not even one vector to bind.
        let depth_vectors = depth > 0 && operands.iter().filter(|o| matches!(o.name, "a" | "b" | "b_up")).all(|o| vectors(o.tensor, depth));
        let lanes = |four| if four { Lanes::Four } else { Lanes::One };
        let tensor = |name| operands.iter().find(|o| o.name == name).map(|o| o.tensor);
        let (row_step, col_step) = self.steps(&operands, depth as u64, cols as u64)?;
        // Vectors of columns need every step to start at one.
        let whole_cols = col_step >= cols || col_step.is_multiple_of(4);
        let variant = Variant {
            looping: self.looping,
            function: self.function.clone(),
            a: args.a.element(),
            b: tensor("b").map_or(args.a.element(), Tensor::element),
            out: args.out.element(),
            bias: tensor("bias").map(Tensor::element),
            depth_lanes: lanes(depth_vectors),
            out_lanes: lanes(whole_cols && vectors(args.out, cols)),
            learned: args.parameters.is_some(),
            shared,
        };
        let mut builder = PlanBuilder::new(&self.gpu);
        for row in (0..rows as u64).step_by(row_step) {
            for col in (0..cols as u64).step_by(col_step) {
                let size = [(rows as u64 - row).min(row_step as u64), (cols as u64 - col).min(col_step as u64)];
                self.dispatch(&mut builder, &variant, &operands, [row, col], size, [depth as u64, cols as u64])?;
            }
        }
        builder.finish()
    }

    /// Every operand by its name in the kernel, and the number of columns.
    fn operands<'a>(&self, args: &LinearArgs<'a>) -> Result<(Vec<Operand<'a>>, usize), Error> {
        let (_, depth) = args.a.rows_cols();
        let mut operands = vec![Operand { name: "a", tensor: args.a }, Operand { name: "out", tensor: args.out }];
        let (weight, biases) = match (args.weights, &self.function) {
            (Weights::One { weight, bias }, Function::Activation(_)) => (weight, [("bias", bias), ("bias_up", None)]),
            (Weights::GateUp { gate, up, bias }, Function::Gate(_)) => {
                up.expect_element("weight of up", gate.element())?;
                up.expect_shape("weight of up", gate.shape())?;
                operands.push(Operand { name: "b_up", tensor: up });
                (gate, [("bias", bias.map(|b| b.0)), ("bias_up", bias.map(|b| b.1))])
            }
            (Weights::One { .. }, _) => {
                return Err(Error::Unsupported { function: self.function.name().into(), what: "use for a single weight" });
            }
            (Weights::GateUp { .. }, _) => {
                return Err(Error::Unsupported { function: self.function.name().into(), what: "use for gate and up" });
            }
        };
        let cols = match weight.shape() {
            [cols, inputs] if *inputs == depth => *cols,
            _ => return Err(Error::Shape { operand: "weight", expected: format!("[out, {depth}]"), actual: weight.shape().to_vec() }),
        };
        operands.push(Operand { name: "b", tensor: weight });
        let first = biases[0].1.map(Tensor::element);
        for (name, bias) in biases {
            if let (Some(bias), Some(element)) = (bias, first) {
                bias.expect_shape(name, &[cols])?;
                bias.expect_element(name, element)?;
                operands.push(Operand { name, tensor: bias });
            }
        }
        if let Some(table) = args.parameters {
            checks::table_channels(&self.function, table, &[1, cols])?;
            operands.push(Operand { name: "learned", tensor: table });
        }
        Ok((operands, cols))
    }

    /// Rows and columns of one dispatch: every window within the binding limit, every grid within its own.
    fn steps(&self, operands: &[Operand<'_>], depth: u64, cols: u64) -> Result<(usize, usize), Error> {
        let side = u64::from(self.gpu.limits().max_compute_workgroups_per_dimension) * Loop::TILE;
        // Biases and learned parameters are bound whole.
        let (mut rows_max, mut cols_max, mut whole) = (side, side, u64::MAX);
        for operand in operands {
            let elements = Bound::max_elements(&self.gpu, operand.tensor);
            let (width, max) = match operand.name {
                "a" => (depth, &mut rows_max),
                "out" => (cols, &mut rows_max),
                "b" | "b_up" => (depth, &mut cols_max),
                _ => (operand.tensor.len() as u64, &mut whole),
            };
            if width > elements {
                return Err(Error::Limit { what: "elements of a row", required: width, allowed: elements });
            }
            *max = (*max).min(elements / width.max(1));
        }
        // Whole tiles, so that only the last is ragged.
        let tiles = |n: u64| if n > Loop::TILE { n / Loop::TILE * Loop::TILE } else { n };
        let col_step = if (4..Loop::TILE).contains(&cols_max) { cols_max / 4 * 4 } else { tiles(cols_max) };
        Ok((tiles(rows_max) as usize, col_step as usize))
    }

    fn dispatch(
        &self,
        builder: &mut PlanBuilder<'_>,
        variant: &Variant,
        operands: &[Operand<'_>],
        [row, col]: [u64; 2],
        [rows, cols]: [u64; 2],
        [depth, all_cols]: [u64; 2],
    ) -> Result<(), Error> {
        let learned = operands.iter().find(|o| o.name == "learned").map_or(0, |o| o.tensor.len());
        let mut params = Params {
            fence: 0,
            rows: rows as u32,
            cols: cols as u32,
            depth: depth as u32,
            a_stride: (depth / variant.depth_lanes.count()) as u32,
            b_stride: (depth / variant.depth_lanes.count()) as u32,
            out_stride: (all_cols / variant.out_lanes.count()) as u32,
            learned_channels: (learned / self.function.learnable_len().max(1)).max(1) as u32,
            first_col: col as u32,
            padding: [0; 3],
            offsets: [[0; 4]; 2],
            constants: pack_constants(&variant.function.constants()),
        };
        let mut bounds = Vec::new();
        for (slot, operand) in variant.operands().into_iter().enumerate() {
            let Some(given) = operands.iter().find(|o| o.name == operand.name) else { continue };
            // Elements of the window, and of the first one that the kernel counts from.
            let (first, end, origin) = match operand.name {
                "a" => (row * depth, (row + rows) * depth, row * depth),
                "b" | "b_up" => (col * depth, (col + cols) * depth, col * depth),
                "out" => (row * all_cols, (row + rows) * all_cols, row * all_cols + col),
                _ => (0, given.tensor.len() as u64, 0),
            };
            let (bound, base) = Bound::window(&self.gpu, given.tensor, first, end, operand.lanes);
            params.offsets[slot / 4][slot % 4] = base.wrapping_add((origin / operand.lanes.count()) as u32);
            bounds.push(bound);
        }
        let grid = [cols.div_ceil(Loop::TILE) as u32, rows.div_ceil(Loop::TILE) as u32, 1];
        builder.push_grid(&variant.kernel(), bytemuck::bytes_of(&params), bounds, grid)
    }
}
