//! A workload with its tensors on a device: what is timed, and whether it is right.

use super::noise::Noise;
use super::workloads::{Task, Workload};
use crate::accuracy::{self, Random, Sample};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, Tensor, Weight};
use crate::nn::{FeedForward, FeedForwardArgs, Layer};
use crate::ops::{Activate, Forward, GateInput, Gated, GatedForward, Linear, LinearArgs, Weights};
use crate::oracle::{self, Bounded, DenseWeights, GatedWeights};
use crate::shader::function::Function;
use crate::verify::Case;

/// Outputs that are checked of a function, and of a product.
const SAMPLES: [usize; 2] = [4096, 64];

/// Multiplications that the truth about a layer may cost; at least one row is checked, with all its columns.
const MULTIPLICATIONS: f64 = 4e8;

/// Units that an activation or gate inside a layer may be off.
const FUNCTION_ULP: f64 = 4.5;

/// Seeds of x (or a, or gate), of up, and of a layer's matrices and biases.
const X: u64 = 1;
const UP: u64 = 2;
const FIRST: u64 = 3;
const SECOND: u64 = 4;
const LAST: u64 = 5;
const BIASES: [u64; 2] = [6, 7];

/// Ready to be run again and again.
#[derive(Debug)]
pub struct Prepared<'a> {
    workload: &'a Workload,
    plan: Plan,
    output: Tensor,
}

impl Workload {
    /// Makes the tensors, full of noise, and the plan.
    ///
    /// # Errors
    /// [`Error::Limit`] and [`Error::OutOfMemory`] where it is too large for the device.
    pub fn prepare<'a>(&'a self, gpu: &Gpu) -> Result<Prepared<'a>, Error> {
        let (plan, output) = match &self.task {
            Task::Elementwise { function, elements } => self.elementwise(gpu, function, *elements)?,
            Task::Product { rows, cols, depth } => self.product(gpu, [*rows, *cols, *depth])?,
            Task::FeedForward { function, tokens, d_model, d_ff } => self.feed_forward(gpu, function, [*tokens, *d_model, *d_ff])?,
        };
        Ok(Prepared { workload: self, plan, output })
    }

    fn elementwise(&self, gpu: &Gpu, function: &Function, elements: usize) -> Result<(Plan, Tensor), Error> {
        let y = gpu.zeros(&[elements], self.element)?;
        let x = self.bends(X).tensor(gpu, &[elements])?;
        let plan = match function {
            Function::Activation(activation) => {
                Activate::new(gpu, activation.clone()).forward(Forward { x: &x, y: &y, bias: None, parameters: None })?
            }
            Function::Gate(gate) => {
                let up = self.bends(UP).tensor(gpu, &[elements])?;
                let input = GateInput::Separate { gate: &x, up: &up };
                Gated::new(gpu, gate.clone()).forward(GatedForward { input, y: &y, bias: None, parameters: None })?
            }
        };
        Ok((plan, y))
    }

    /// Numbers in (-8, 8), where activations bend.
    fn bends(&self, seed: u64) -> Noise {
        Noise { exponent: 3, ..Noise::new(seed, self.element) }
    }

    fn product(&self, gpu: &Gpu, [rows, cols, depth]: [usize; 3]) -> Result<(Plan, Tensor), Error> {
        let out = gpu.zeros(&[rows, cols], self.element)?;
        let a = Noise::new(X, self.element).tensor(gpu, &[rows, depth])?;
        let weight = Noise::weights(FIRST, self.element, depth).tensor(gpu, &[cols, depth])?;
        let plan = Linear::new(gpu, Activation::Identity).plan(LinearArgs::new(&a, Weights::plain(&weight), &out))?;
        Ok((plan, out))
    }

    fn feed_forward(&self, gpu: &Gpu, function: &Function, [tokens, d_model, d_ff]: [usize; 3]) -> Result<(Plan, Tensor), Error> {
        let weights = |seed, out, depth| Noise::weights(seed, self.element, depth).tensor(gpu, &[out, depth]).map(Weight::from);
        let bias = |seed, len| Noise::new(seed, self.element).tensor(gpu, &[len]);
        let layer = match function {
            Function::Activation(activation) => Layer::Dense {
                activation: activation.clone(),
                w1: weights(FIRST, d_ff, d_model)?,
                b1: Some(bias(BIASES[0], d_ff)?),
                w2: weights(LAST, d_model, d_ff)?,
                b2: Some(bias(BIASES[1], d_model)?),
            },
            Function::Gate(gate) => Layer::Gated {
                gate: gate.clone(),
                w_gate: weights(FIRST, d_ff, d_model)?,
                w_up: weights(SECOND, d_ff, d_model)?,
                biases: None,
                w_down: weights(LAST, d_model, d_ff)?,
                b_down: None,
            },
        };
        let layer = FeedForward::new(gpu, layer);
        let x = Noise::new(X, self.element).tensor(gpu, &[tokens, d_model])?;
        let (hidden, y) = (layer.hidden(&x)?, gpu.zeros(&[tokens, d_model], self.element)?);
        let plan = layer.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y })?;
        Ok((plan, y))
    }
}

impl Prepared<'_> {
    /// What is timed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it writes.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Runs it, and judges.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub async fn check(&self, gpu: &Gpu) -> Result<f64, Error> {
        self.plan.submit(gpu);
        self.judge(gpu).await
    }

    /// Compares samples of the output, as it is, with the truth in f64: the largest error as a share of what is allowed.
    /// NaN is an infinite error.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub async fn judge(&self, gpu: &Gpu) -> Result<f64, Error> {
        match &self.workload.task {
            Task::Elementwise { function, elements } => self.check_elementwise(gpu, function, *elements).await,
            Task::Product { rows, cols, depth } => self.check_product(gpu, [*rows, *cols, *depth]).await,
            Task::FeedForward { function, tokens, d_model, d_ff } => {
                self.check_feed_forward(gpu, function, [*tokens, *d_model, *d_ff]).await
            }
        }
    }

    /// By the accuracy contract, in units in the last place.
    async fn check_elementwise(&self, gpu: &Gpu, function: &Function, elements: usize) -> Result<f64, Error> {
        let element = self.workload.element;
        let (x, up) = (self.workload.bends(X), self.workload.bends(UP));
        let allowed = Case { function: function.clone(), backward: false, element }.allowed("y");
        let y = gpu.read_back_async(&self.output).await?;
        let share = |place: usize| {
            let x = f64::from(x.at(place));
            let truth = match function {
                Function::Activation(activation) => oracle::value(activation, x),
                Function::Gate(gate) => oracle::gate_value(gate, x, f64::from(up.at(place))),
            };
            let error = Sample { actual: y[place], truth, forgiven: 0.0 }.error_ulp(element);
            // Of what must be exact, nothing is allowed.
            if error == 0.0 { 0.0 } else { error / allowed }
        };
        Ok(largest(places(elements, SAMPLES[0]).map(share)))
    }

    /// By the bound of a sum.
    async fn check_product(&self, gpu: &Gpu, [rows, cols, depth]: [usize; 3]) -> Result<f64, Error> {
        let element = self.workload.element;
        let (a, weight) = (Noise::new(X, element), Noise::weights(FIRST, element, depth));
        let out = gpu.read_back_async(&self.output).await?;
        let share = |place: usize| {
            let (row, col) = (place / cols, place % cols);
            let term = |k| f64::from(a.at(row * depth + k)) * f64::from(weight.at(col * depth + k));
            let (value, terms) = (0..depth).map(term).fold((0.0, 0.0), |(sum, terms), term| (sum + term, terms + term.abs()));
            self.share(Bounded { value, terms }, depth, 0.0, out[place])
        };
        Ok(largest(places(rows * cols, SAMPLES[1]).map(share)))
    }

    /// Whole rows, by the bound of two sums.
    async fn check_feed_forward(&self, gpu: &Gpu, function: &Function, [tokens, d_model, d_ff]: [usize; 3]) -> Result<f64, Error> {
        let element = self.workload.element;
        let matrices = if matches!(function, Function::Gate(_)) { 3.0 } else { 2.0 };
        let rows = (MULTIPLICATIONS / (matrices * d_model as f64 * d_ff as f64)).clamp(1.0, 8.0) as usize;
        let rows: Vec<usize> = places(tokens, rows.min(tokens)).collect();
        let x = Noise::new(X, element);
        let x: Vec<f32> = rows.iter().flat_map(|row| x.values(row * d_model..(row + 1) * d_model)).collect();
        let weights = |seed, out: usize, depth| Noise::weights(seed, element, depth).values(0..out * depth);
        let bias = |seed, len| Noise::new(seed, element).values(0..len);
        let (first, last) = (weights(FIRST, d_ff, d_model), weights(LAST, d_model, d_ff));
        let truth = match function {
            Function::Activation(activation) => {
                let (b1, b2) = (bias(BIASES[0], d_ff), bias(BIASES[1], d_model));
                let weights = DenseWeights { d_model, d_ff, w1: &first, b1: Some(&b1), w2: &last, b2: Some(&b2) };
                oracle::dense(&x, rows.len(), &weights, activation)
            }
            Function::Gate(gate) => {
                let up = weights(SECOND, d_ff, d_model);
                let (w_gate, w_up, w_down) = (&first, &up, &last);
                let weights = GatedWeights { d_model, d_ff, w_gate, b_gate: None, w_up, b_up: None, w_down, b_down: None };
                oracle::gated(&x, rows.len(), &weights, gate)
            }
        };
        let mut y = Vec::with_capacity(truth.len());
        for row in rows {
            y.extend(gpu.read_back_async(&self.output.view(row * d_model, &[d_model])?).await?);
        }
        let shares = truth.iter().zip(y).map(|(truth, y)| self.share(*truth, d_model + d_ff + 2, FUNCTION_ULP, y));
        Ok(largest(shares))
    }

    /// Error as a share of what an f32 sum of `count` terms may stray that are themselves within `ulp` units (Higham 2002,
    /// section 3.1), and of the rounding to the output's kind.
    fn share(&self, truth: Bounded, count: usize, ulp: f64, actual: f32) -> f64 {
        let element = self.workload.element;
        let sums = (count as f64 + 2.0 * ulp) * f64::exp2(-24.0) * truth.terms;
        let rounding = if element == Element::F32 { 0.0 } else { accuracy::ulp(element, truth.value) / 2.0 };
        (f64::from(actual) - truth.value).abs() / (sums + rounding)
    }
}

/// `count` of the places below `len`: the last, the first, and random ones.
fn places(len: usize, count: usize) -> impl Iterator<Item = usize> {
    let mut random = Random::new(9);
    [len.saturating_sub(1), 0].into_iter().chain(std::iter::repeat_with(move || random.bits() as usize % len.max(1))).take(count)
}

/// The largest; NaN and infinity are infinite.
fn largest(shares: impl Iterator<Item = f64>) -> f64 {
    shares.fold(0.0, |most: f64, share| if share.is_nan() { f64::INFINITY } else { most.max(share) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_the_largest() {
        assert_eq!(largest([0.5, f64::NAN, 0.25].into_iter()), f64::INFINITY);
        assert_eq!(largest([0.5, 0.75, 0.25].into_iter()), 0.75);
    }

    #[test]
    fn places_hold_both_ends() {
        let some: Vec<_> = places(100, 5).collect();
        assert_eq!((some.len(), some[0], some[1]), (5, 99, 0));
        assert!(some.iter().all(|place| *place < 100));
    }
}
