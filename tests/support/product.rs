//! Products of every form on a device, with their truth.

use ffwd::accuracy::{Random, Sample};
use ffwd::ops::{Linear, LinearArgs, Weights};
use ffwd::shader::matmul::{Loop, Tile, Total};
use ffwd::tuning::{Strategy, Tuning};
use ffwd::{Activation, Element, Error, Gate, Gpu, Tensor, oracle, wgpu};

use super::layer::Function;
use super::{Guarded, adapter, guest, half_unit, judge, numbers, sum_bound};

/// Where up comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Up {
    /// There is none: one product and an activation.
    None,
    /// A product of its own.
    Product,
    /// Memory, in this kind.
    Memory(Element),
    /// The output, which it is overwritten in.
    Out,
}

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Residual {
    None,
    /// A tensor of its own, in this kind.
    Apart(Element),
    /// The output, which it is overwritten in.
    Out,
}

/// out = f(a b^T + bias) + residual in one of its forms.
#[derive(Clone, Debug)]
pub struct Case {
    pub function: Function,
    pub up: Up,
    /// Rows, columns, depth.
    pub sizes: [usize; 3],
    /// Kinds of a, of the weights and biases, of the output.
    pub kinds: [Element; 3],
    pub transposed: [bool; 2],
    pub bias: bool,
    pub residual: Residual,
    /// Elements that operands start off the alignment.
    pub offset: usize,
    /// Whether sums are exact in any order.
    pub whole: bool,
}

/// A case's numbers, exact in their kinds, `a` as `[rows, depth]` and weights as `[cols, depth]`.
struct Numbers {
    a: Vec<f32>,
    b: Vec<f32>,
    b_up: Vec<f32>,
    bias: Vec<f32>,
    bias_up: Vec<f32>,
    up: Vec<f32>,
    residual: Vec<f32>,
}

/// A case on a device.
pub struct Held {
    pub a: Guarded,
    pub b: Guarded,
    b_up: Guarded,
    bias: Guarded,
    bias_up: Guarded,
    up: Guarded,
    residual: Guarded,
    pub out: Guarded,
}

impl Case {
    /// f32, nothing added, nothing transposed.
    pub fn dense(name: &str, sizes: [usize; 3]) -> Self {
        let function = Function::dense(name);
        let (kinds, residual) = ([Element::F32; 3], Residual::None);
        Self { function, up: Up::None, sizes, kinds, transposed: [false; 2], bias: false, residual, offset: 0, whole: true }
    }

    /// The same of a gate.
    pub fn gated(name: &str, up: Up, sizes: [usize; 3]) -> Self {
        Self { function: Function::gated(name), up, ..Self::dense("identity", sizes) }
    }

    fn numbers(&self) -> Numbers {
        let ([rows, cols, depth], [a, b, out]) = (self.sizes, self.kinds);
        let some = |element, len, seed, unit: f32| {
            let mut random = Random::new(seed);
            // Eighths of one to three of either sign: sums of hundreds of thousands of their products are exact.
            let mut eighths = || (random.uniform(1.0, 4.0).floor() * unit).copysign(random.uniform(-1.0, 1.0));
            if self.whole { (0..len).map(|_| eighths()).collect() } else { numbers(element, len, seed) }
        };
        let up = if let Up::Memory(element) = self.up { element } else { out };
        let residual = if let Residual::Apart(element) = self.residual { element } else { out };
        let (up, residual) = (some(up, rows * cols, 26, 0.125), some(residual, rows * cols, 27, 0.125));
        Numbers {
            a: some(a, rows * depth, 21, 1.0),
            b: some(b, cols * depth, 22, 0.125),
            b_up: some(b, cols * depth, 23, 0.125),
            bias: some(b, cols, 24, 0.125),
            bias_up: some(b, cols, 25, 0.125),
            // Both of them the output.
            residual: if (self.up, self.residual) == (Up::Out, Residual::Out) { up.clone() } else { residual },
            up,
        }
    }

    /// On the device.
    pub fn upload(&self, gpu: &Gpu) -> Held {
        let ([rows, cols, depth], [a, b, out]) = (self.sizes, self.kinds);
        let numbers = self.numbers();
        let matrix = |values: &[f32], rows: usize, transposed: bool, element, offset| {
            let flipped: Vec<f32> = (0..rows * depth).map(|i| values[i % rows * depth + i / rows]).collect();
            let (values, shape) = if transposed { (flipped.as_slice(), [depth, rows]) } else { (values, [rows, depth]) };
            Guarded::holding(gpu, values, &shape, element, offset)
        };
        let holding = |values: &[f32], shape: &[usize], element, offset| Guarded::holding(gpu, values, shape, element, offset);
        let (shape, offset) = ([rows, cols], self.offset);
        let held = match (self.up, self.residual) {
            (Up::Out, _) => holding(&numbers.up, &shape, out, offset),
            (_, Residual::Out) => holding(&numbers.residual, &shape, out, offset),
            _ => Guarded::output(gpu, &shape, out, offset),
        };
        Held {
            a: matrix(&numbers.a, rows, self.transposed[0], a, offset),
            b: matrix(&numbers.b, cols, self.transposed[1], b, 3 * offset % 7),
            b_up: matrix(&numbers.b_up, cols, self.transposed[1], b, offset),
            bias: holding(&numbers.bias, &[cols], b, offset),
            bias_up: holding(&numbers.bias_up, &[cols], b, offset / 2),
            up: holding(&numbers.up, &shape, if let Up::Memory(element) = self.up { element } else { out }, offset),
            residual: holding(&numbers.residual, &shape, if let Residual::Apart(element) = self.residual { element } else { out }, offset),
            out: held,
        }
    }

    /// The operation.
    pub fn linear(&self, gpu: &Gpu, tuning: Tuning) -> Linear {
        match &self.function {
            Function::Dense(activation) => Linear::new(gpu, activation.clone()),
            Function::Gated(gate) => Linear::gated(gpu, gate.clone()),
        }
        .with_tuning(tuning)
    }

    /// The operands.
    pub fn args<'a>(&self, held: &'a Held) -> LinearArgs<'a> {
        let (weight, bias) = ((&held.b.tensor).into(), self.bias.then_some(&held.bias.tensor));
        let weights = match self.up {
            Up::None => Weights::One { weight, bias },
            Up::Memory(_) => Weights::Gate { weight, bias, up: &held.up.tensor },
            Up::Out => Weights::Gate { weight, bias, up: &held.out.tensor },
            Up::Product => {
                Weights::GateUp { gate: weight, up: (&held.b_up.tensor).into(), bias: bias.map(|bias| (bias, &held.bias_up.tensor)) }
            }
        };
        let residual = match self.residual {
            Residual::None => None,
            Residual::Apart(_) => Some(&held.residual.tensor),
            Residual::Out => Some(&held.out.tensor),
        };
        LinearArgs { residual, transposed: self.transposed, ..LinearArgs::new(&held.a.tensor, weights, &held.out.tensor) }
    }

    /// Runs it twice and judges both; the number of dispatches and the result.
    pub fn check(&self, gpu: &Gpu, strategy: Strategy) -> Result<(usize, Vec<f32>), String> {
        let held = self.upload(gpu);
        let before = gpu.read_bytes(&held.out.tensor).unwrap();
        let plan = self.linear(gpu, Tuning::Fixed(strategy)).plan(self.args(&held)).map_err(|error| format!("{error:?}"))?;
        plan.submit(gpu);
        let first = held.out.check(gpu)?;
        self.judge(&first)?;
        // Once more with what the first run left in the plan's scratch.
        if !held.out.tensor.is_empty() && plan.scratch_bytes() > 0 {
            held.out.restore(gpu, &before);
            plan.submit(gpu);
            super::same_bits(&held.out.check(gpu)?, &first).map_err(|fault| format!("the second run: {fault}"))?;
        }
        Ok((plan.kernels().count(), first))
    }

    /// What a device says to it.
    pub fn refused(&self, gpu: &Gpu, strategy: Strategy) -> Error {
        let held = self.upload(gpu);
        self.linear(gpu, Tuning::Fixed(strategy)).plan(self.args(&held)).expect_err(&format!("{strategy} ran {self:?}"))
    }

    /// Refuses what is further from the truth than the function, the sums unless they are exact, and the last rounding allow.
    fn judge(&self, actual: &[f32]) -> Result<(), String> {
        let ([_, cols, depth], n) = (self.sizes, self.numbers());
        let sum = |row: usize, weights: &[f32], col: usize, bias: &[f32]| {
            let bias = if self.bias { f64::from(bias[col]) } else { 0.0 };
            let products = (0..depth).map(|k| f64::from(n.a[row * depth + k]) * f64::from(weights[col * depth + k]));
            products.fold((bias, bias.abs()), |(sum, terms), product| (sum + product, terms + product.abs()))
        };
        let sample = |(i, actual): (usize, &f32)| {
            let (row, col) = (i / cols, i % cols);
            let (gate, gate_terms) = sum(row, &n.b, col, &n.bias);
            let (up, up_terms) = match self.up {
                Up::None => (1.0, 1.0),
                Up::Product => sum(row, &n.b_up, col, &n.bias_up),
                Up::Memory(_) | Up::Out => (f64::from(n.up[i]), f64::from(n.up[i]).abs()),
            };
            let (value, exact) = match &self.function {
                Function::Dense(activation) => {
                    (oracle::value(activation, gate), [Activation::Identity, Activation::Relu].contains(activation))
                }
                Function::Gated(gated) => (oracle::gate_value(gated, gate, up), *gated == Gate::Of(Activation::Identity)),
            };
            let added = if self.residual == Residual::None { 0.0 } else { f64::from(n.residual[i]) };
            let truth = value + added;
            // Slopes are at most 1.13, that of gelu.
            let forgiven = match (self.whole, exact) {
                (true, true) => 0.0,
                (true, false) => sum_bound(2, 4.5, value.abs() + added.abs()),
                (false, _) => sum_bound(2 * depth + 4, 4.5, 1.13 * gate_terms * up_terms + added.abs()),
            };
            let rounding = if self.kinds[2] == Element::F32 { 0.0 } else { half_unit(self.kinds[2], truth) };
            Sample { actual: *actual, truth, forgiven: forgiven + rounding }
        };
        judge(self.kinds[2], 0.0, &actual.iter().enumerate().map(sample).collect::<Vec<_>>(), |i| (i / cols, i % cols))
    }
}

/// One loop of each sort, those that the device has.
pub fn four_loops(gpu: &Gpu, gated: bool) -> Vec<Loop> {
    let sorts = [Loop::Direct(4), Loop::Tiled(Tile::SMALL), Loop::Broadcast(4), Loop::Dot(2, Total::Tree)];
    sorts.into_iter().filter(|looping| looping.missing(&gpu.capabilities(), gated).is_none()).collect()
}

/// A tensor in the middle of another.
pub fn view(whole: &Tensor, start: usize, shape: [usize; 2]) -> Tensor {
    whole.view(start, &shape).unwrap()
}

/// Collects what is wrong, so that one run tells all of it.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Runs a case; the number of dispatches and the result.
    pub fn check(&mut self, gpu: &Gpu, case: &Case, strategy: Strategy) -> Option<(usize, Vec<f32>)> {
        case.check(gpu, strategy).map_err(|fault| self.0.push(format!("{strategy} of {case:?}: {fault}"))).ok()
    }

    /// Fails the test where anything is wrong.
    #[track_caller]
    pub fn none(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// A device with small limits: bytes of a binding, and workgroups a side.
pub fn small(max_storage_buffer_binding_size: u64, max_compute_workgroups_per_dimension: u32) -> Gpu {
    let adapter = adapter();
    let limits = wgpu::Limits { max_storage_buffer_binding_size, max_compute_workgroups_per_dimension, ..adapter.limits() };
    guest(&adapter, limits, wgpu::Features::empty())
}
