//! Products with an epilogue: out = f(a w^T + bias) + residual, and the dual product of a gate.

use super::checks;
use super::product::{Operand, Product};
use super::{reduce, steps};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Gpu, Matrix, Plan, Tensor};
use crate::quantised::WeightKind;
use crate::shader::function::Function;
use crate::shader::matmul::{Loop, Products};
use crate::shader::reduce::Terms;
use crate::tuning::{Problem, Strategy, Tuning, shipped};

/// A linear layer with its activation or gate, on a device.
#[derive(Debug, Clone)]
pub struct Linear {
    gpu: Gpu,
    function: Function,
    tuning: Tuning,
}

/// Weights in PyTorch's layout `[out, in]`, with biases `[out]`.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// One product.
    One {
        /// `[out, in]`.
        weight: Matrix<'a>,
        /// `[out]`.
        bias: Option<&'a Tensor>,
    },
    /// The gate's product; up has been computed.
    Gate {
        /// `[out, in]`.
        weight: Matrix<'a>,
        /// `[out]`.
        bias: Option<&'a Tensor>,
        /// `[.., out]`, its bias included; it may be exactly the output, which is overwritten.
        up: &'a Tensor,
    },
    /// Two products, of which only the gate's result is stored.
    GateUp {
        /// `[out, in]`.
        gate: Matrix<'a>,
        /// `[out, in]`; plain of the same kind. Where quantised kinds differ, up's product is a kernel of its own.
        up: Matrix<'a>,
        /// `[out]` for gate and for up.
        bias: Option<(&'a Tensor, &'a Tensor)>,
    },
}

impl<'a> Weights<'a> {
    /// One product, no bias.
    pub fn plain(weight: impl Into<Matrix<'a>>) -> Self {
        Self::One { weight: weight.into(), bias: None }
    }

    /// The weight, or the gate's.
    const fn first(self) -> Matrix<'a> {
        match self {
            Self::One { weight, .. } | Self::Gate { weight, .. } | Self::GateUp { gate: weight, .. } => weight,
        }
    }

    /// The same where `a` has been brought into the order of the columns.
    const fn in_order(self) -> Self {
        match self {
            Self::One { weight, bias } => Self::One { weight: weight.in_order(), bias },
            Self::Gate { weight, bias, up } => Self::Gate { weight: weight.in_order(), bias, up },
            Self::GateUp { gate, up, bias } => Self::GateUp { gate: gate.in_order(), up: up.in_order(), bias },
        }
    }
}

/// Operands of out = f(a w^T + bias) + residual.
#[derive(Debug, Clone, Copy)]
pub struct LinearArgs<'a> {
    /// `[.., in]`; transposed, `[in, rows]`.
    pub a: &'a Tensor,
    /// Weights and biases. A gate needs [`Weights::GateUp`] or [`Weights::Gate`], an activation [`Weights::One`].
    pub weights: Weights<'a>,
    /// `[.., out]`, in any kind.
    pub out: &'a Tensor,
    /// Learnable parameters of the activation; their channels are the columns of `out`.
    pub parameters: Option<&'a Tensor>,
    /// Added to the result: of `out`'s shape, in any kind; it may be exactly `out`.
    pub residual: Option<&'a Tensor>,
    /// Where the sums of `a`'s rows go, `[rows]` in any kind: of a gradient, they are the gradient of the bias. They are added
    /// to what is there where `residual` is given. `a` is then transposed, its sums being those of columns in memory.
    pub sums: Option<&'a Tensor>,
    /// Whether `a` is given as `[in, rows]`, and the weights as `[in, out]` (GPT-2's layout).
    pub transposed: [bool; 2],
}

impl<'a> LinearArgs<'a> {
    /// Nothing learned, nothing added, nothing transposed.
    pub const fn new(a: &'a Tensor, weights: Weights<'a>, out: &'a Tensor) -> Self {
        Self { a, weights, out, parameters: None, residual: None, sums: None, transposed: [false; 2] }
    }
}

impl Linear {
    /// One product with an activation after it.
    pub fn new(gpu: &Gpu, activation: Activation) -> Self {
        Self::of(gpu, Function::Activation(activation))
    }

    /// Gate and up as one operation.
    pub fn gated(gpu: &Gpu, gate: Gate) -> Self {
        Self::of(gpu, Function::Gate(gate))
    }

    fn of(gpu: &Gpu, function: Function) -> Self {
        Self { gpu: gpu.clone(), function, tuning: Tuning::default() }
    }

    /// The same with a loop of the caller's choice, in one piece.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device lacks what it needs; [`Error::Unsupported`] where there is no such loop.
    pub fn with_loop(self, looping: Loop) -> Result<Self, Error> {
        runs(&self.gpu, looping, matches!(self.function, Function::Gate(_)))?;
        Ok(self.with_tuning(Tuning::Fixed(Strategy::of(looping))))
    }

    /// The same with kernels chosen another way.
    #[must_use]
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { tuning, ..self }
    }

    /// The product. Where its depth is split, the slices' sums are kept in a buffer of the plan's own.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which f is undefined; a fixed strategy
    /// that the device or the product does not allow.
    pub fn plan(&self, args: LinearArgs<'_>) -> Result<Plan, Error> {
        checks::parameters(&self.function)?;
        if let Some(plan) = self.apart(&args)? {
            return Ok(plan);
        }
        let [transposed_a, transposed_b] = args.transposed;
        let (rows, depth) = match (transposed_a, args.a.shape()) {
            (false, [_, ..]) => args.a.rows_cols(),
            (true, [depth, rows]) => (*rows, *depth),
            (false, []) => return Err(Error::Shape { operand: "a", expected: "[.., in]".into(), actual: Vec::new() }),
            (true, shape) => return Err(Error::Shape { operand: "a", expected: "[in, rows]".into(), actual: shape.to_vec() }),
        };
        let (operands, cols) = self.operands(&args, depth, transposed_b)?;
        let mut out_shape = if transposed_a { vec![rows, cols] } else { args.a.shape().to_vec() };
        if let Some(last) = out_shape.last_mut() {
            *last = cols;
        }
        for (name, tensor) in operands.iter().filter(|o| matches!(o.name, "out" | "up" | "residual")).map(|o| (o.name, o.tensor)) {
            tensor.expect_shape(name, &out_shape)?;
        }
        let products = match args.weights {
            Weights::One { .. } if args.sums.is_some() => Products::Summed,
            Weights::One { .. } => Products::One,
            Weights::Gate { .. } => Products::Gate,
            Weights::GateUp { .. } => Products::GateUp,
        };
        let b = args.weights.first().kind();
        quantised_rows(b, depth, transposed_b)?;
        let gated = products == Products::GateUp;
        let problem = Problem { gated, a: args.a.element(), b, out: args.out.element(), transposed: args.transposed, rows, cols, depth };
        let strategy = self.strategy(&problem)?;
        if let Some(sums) = args.sums {
            sums.expect_shape("sums", &[rows])?;
            if products != Products::Summed || !transposed_a {
                return Err(Error::Unsupported {
                    function: self.function.name().into(),
                    what: "sums of rows but for one weight and a transposed `a`",
                });
            }
        }
        let product = Product { gpu: &self.gpu, function: &self.function, products, operands, problem };
        if let Some(sums) = args.sums
            && !product.sums_besides(strategy)?
        {
            let rest = self.plan(LinearArgs { sums: None, ..args })?;
            return Ok(rest.then(self.column_sums(args.a, sums, args.residual.is_some())?));
        }
        if gated && !strategy.fused { product.plan_unfused(strategy) } else { product.plan(strategy) }
    }

    /// Gate and up whose weights are of two kinds, or take a's columns in two orders, are two products; and a is brought
    /// into the order of a weight's columns by a kernel of its own.
    fn apart(&self, args: &LinearArgs<'_>) -> Result<Option<Plan>, Error> {
        if let (Weights::GateUp { gate, up, bias }, Function::Gate(_)) = (args.weights, &self.function)
            && (gate.kind() != up.kind() && (gate.plain().is_err() || up.plain().is_err()) || !gate.same_order(up))
        {
            let middle = self.gpu.zeros(args.out.shape(), Element::F32)?;
            let (bias, bias_up) = bias.unzip();
            let identity = Self { function: Function::Activation(Activation::Identity), ..self.clone() };
            let of = |weights| LinearArgs { transposed: args.transposed, ..LinearArgs::new(args.a, weights, &middle) };
            let first = identity.plan(of(Weights::One { weight: up, bias: bias_up }))?;
            let second = self.plan(LinearArgs { weights: Weights::Gate { weight: gate, bias, up: &middle }, ..*args })?;
            return Ok(Some(first.then(second).with_scratch(middle.buffer().size())));
        }
        let Some(order) = args.weights.first().order() else { return Ok(None) };
        let (width, count) = (args.a.shape().last().copied().unwrap_or(0), order.len());
        if args.transposed[0] || width != count {
            let expected = format!("[.., {count}] not transposed, as the weights' columns have an order");
            return Err(Error::Shape { operand: "a", expected, actual: args.a.shape().to_vec() });
        }
        let ordered = self.gpu.zeros(args.a.shape(), args.a.element())?;
        let gather = steps::gather(&self.gpu, args.a, order, &ordered)?;
        let product = self.plan(LinearArgs { a: &ordered, weights: args.weights.in_order(), ..*args })?;
        Ok(Some(gather.then(product).with_scratch(ordered.buffer().size())))
    }

    /// The sums of a's columns by kernels of their own, in f32 before they are rounded.
    fn column_sums(&self, a: &Tensor, sums: &Tensor, accumulate: bool) -> Result<Plan, Error> {
        let columns = |out: &Tensor| reduce::columns(&self.gpu, a, &Terms::Values(a.element()), out, accumulate);
        if sums.element() == Element::F32 {
            return columns(sums);
        }
        let own = self.gpu.zeros(sums.shape(), Element::F32)?;
        let plan = columns(&own)?.then(steps::convert(&self.gpu, &own, sums)?).with_scratch(own.buffer().size());
        Ok(if accumulate { steps::convert(&self.gpu, sums, &own)?.then(plan) } else { plan })
    }

    /// What computes a product of this kind and size.
    ///
    /// # Errors
    /// [`Error::Limit`], [`Error::Unsupported`] where a fixed strategy cannot be had; what a measurement meets.
    pub fn strategy(&self, problem: &Problem) -> Result<Strategy, Error> {
        let capabilities = self.gpu.capabilities();
        match self.tuning {
            Tuning::Fixed(strategy) => {
                let fused = problem.gated && strategy.fused;
                runs(&self.gpu, strategy.looping, fused)?;
                // Slices are workgroups, side by side in the grid's third dimension.
                let most = Strategy::MOST_SLICES.min(self.gpu.limits().max_compute_workgroups_per_dimension);
                if strategy.slices > most {
                    return Err(Error::Limit { what: "slices of a depth", required: strategy.slices.into(), allowed: most.into() });
                }
                if fused && strategy.slices > 1 {
                    return Err(Error::Unsupported { function: strategy.to_string(), what: "split depth of gate and up in one kernel" });
                }
                if matches!(strategy.looping, Loop::Cooperative(_)) && (problem.a, problem.b) != (Element::F16, Element::F16.into()) {
                    return Err(Error::Unsupported { function: strategy.to_string(), what: "use for operands that are not f16" });
                }
                Ok(strategy)
            }
            Tuning::Shipped => Ok(shipped(&capabilities, problem)),
            Tuning::Cached | Tuning::Measure => {
                let known = self.gpu.tuned(|cache| cache.get(&problem.class())).map(|choice| choice.strategy);
                let known = known.filter(|strategy| problem.candidates(&capabilities).contains(strategy));
                match (known, self.tuning) {
                    (Some(strategy), _) => Ok(strategy),
                    (None, Tuning::Measure) => self.measured(problem),
                    (None, _) => Ok(shipped(&capabilities, problem)),
                }
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn measured(&self, problem: &Problem) -> Result<Strategy, Error> {
        Ok(super::tuner::tune(&self.gpu, problem, &mut |_| {})?.chosen)
    }

    #[cfg(target_arch = "wasm32")]
    fn measured(&self, _: &Problem) -> Result<Strategy, Error> {
        Err(Error::Unsupported { function: "Tuning::Measure".into(), what: "time to wait in a browser; `ops::tune_async` measures ahead" })
    }

    /// Every operand by its name in the kernel, and the number of columns.
    fn operands<'a>(&self, args: &LinearArgs<'a>, depth: usize, transposed: bool) -> Result<(Vec<Operand<'a>>, usize), Error> {
        let mut operands = vec![Operand { name: "a", tensor: args.a }, Operand { name: "out", tensor: args.out }];
        let (weight, biases) = match (args.weights, &self.function) {
            (Weights::One { weight, bias }, Function::Activation(_)) => (weight, [("bias", bias), ("bias_up", None)]),
            (Weights::Gate { weight, bias, up }, Function::Gate(_)) => {
                operands.push(Operand { name: "up", tensor: up });
                (weight, [("bias", bias), ("bias_up", None)])
            }
            (Weights::GateUp { gate, up, bias }, Function::Gate(_)) => {
                if let (Matrix::Plain(gate), Matrix::Plain(up)) = (gate, up) {
                    up.expect_element("weight of up", gate.element())?;
                }
                if up.shape() != gate.shape() {
                    let expected = format!("{:?}", gate.shape());
                    return Err(Error::Shape { operand: "weight of up", expected, actual: up.shape().to_vec() });
                }
                operands.push(Operand { name: "b_up", tensor: up.memory() });
                (gate, [("bias", bias.map(|(gate, _)| gate)), ("bias_up", bias.map(|(_, up)| up))])
            }
            (Weights::One { .. }, _) => {
                return Err(Error::Unsupported { function: self.function.name().into(), what: "use for a single weight" });
            }
            (Weights::Gate { .. } | Weights::GateUp { .. }, _) => {
                return Err(Error::Unsupported { function: self.function.name().into(), what: "use for gate and up" });
            }
        };
        let cols = match (transposed, weight.shape()) {
            (false, [cols, inputs]) | (true, [inputs, cols]) if *inputs == depth => *cols,
            (_, shape) => {
                let expected = if transposed { format!("[{depth}, out]") } else { format!("[out, {depth}]") };
                return Err(Error::Shape { operand: "weight", expected, actual: shape.to_vec() });
            }
        };
        operands.push(Operand { name: "b", tensor: weight.memory() });
        let first = biases[0].1.map(Tensor::element);
        for (name, bias) in biases {
            if let (Some(bias), Some(element)) = (bias, first) {
                bias.expect_shape(name, &[cols])?;
                bias.expect_element(name, element)?;
                operands.push(Operand { name, tensor: bias });
            }
        }
        operands.extend(args.sums.map(|tensor| Operand { name: "sums", tensor }));
        operands.extend(args.residual.map(|tensor| Operand { name: "residual", tensor }));
        if let Some(table) = args.parameters {
            checks::table_channels(&self.function, table, &[1, cols])?;
            operands.push(Operand { name: "learned", tensor: table });
        }
        Ok((operands, cols))
    }
}

/// Refuses quantised weights whose rows are not whole groups, or that are given as columns.
fn quantised_rows(kind: WeightKind, depth: usize, transposed: bool) -> Result<(), Error> {
    let WeightKind::Packed(packing) = kind else { return Ok(()) };
    if transposed {
        return Err(Error::Unsupported { function: packing.to_string(), what: "transposed weights" });
    }
    if !depth.is_multiple_of(packing.multiple()) {
        let expected = format!("rows of whole groups of {}", packing.multiple());
        return Err(Error::Shape { operand: "weight", expected, actual: vec![depth] });
    }
    Ok(())
}

/// Refuses a loop that does not exist or that the device lacks something for.
fn runs(gpu: &Gpu, looping: Loop, gated: bool) -> Result<(), Error> {
    if !looping.exists() {
        return Err(Error::Unsupported { function: looping.to_string(), what: "kernel for products" });
    }
    match looping.missing(&gpu.capabilities(), gated) {
        None => Ok(()),
        Some((what, required, allowed)) => Err(Error::Limit { what, required, allowed }),
    }
}
