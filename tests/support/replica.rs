//! Networks of feed-forward blocks in training, in f64. Every number has a bound on how far f32 strays from it, made along the
//! way (running error analysis: Higham 2002, section 3.3), so that the bound of a gradient is that of its own sums.

use std::collections::BTreeMap;

use ffwd::ops::Dropout;
use ffwd::shader::function::Function;
use ffwd::{Activation, Gate, oracle};

use super::subject;

/// A number, and how far f32 may stray from it, in units of 2^-24.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number {
    pub value: f64,
    pub stray: f64,
}

/// Numbers by the names that a trainer gives its parameters.
pub type Named<T> = BTreeMap<String, Vec<T>>;

/// What an activation, a gate or a derivative may be off: 8 units in the last place.
const FUNCTION: f64 = 16.0;

impl Number {
    pub const fn exact(value: f64) -> Self {
        Self { value, stray: 0.0 }
    }

    /// Their product but for its own rounding, which belongs to the sum that it is part of.
    pub fn times(self, other: Self) -> Self {
        let stray = self.value.abs() * other.stray + self.stray * other.value.abs();
        Self { value: self.value * other.value, stray }
    }

    /// A sum of products in any order.
    pub fn sum(terms: impl Iterator<Item = Self>) -> Self {
        let (mut sum, mut size, mut count) = (Self::default(), 0.0, 1.0);
        for term in terms {
            sum = Self { value: sum.value + term.value, stray: sum.stray + term.stray };
            size += term.value.abs();
            count += 1.0;
        }
        Self { stray: sum.stray + count * size, ..sum }
    }

    /// f of numbers that stray, itself off by a few units of `terms`; where f has a kink on the way, its jump is seen.
    fn through<const N: usize>(of: [Self; N], terms: f64, f: impl Fn([f64; N]) -> f64) -> Self {
        let value = f(of.map(|n| n.value));
        let corner = |signs: usize| std::array::from_fn(|k| of[k].value + of[k].reach() * if signs >> k & 1 == 0 { 1.0 } else { -1.0 });
        let strayed = (0..1 << N).map(|signs| (f(corner(signs)) - value).abs()).fold(0.0, f64::max);
        Self { value, stray: strayed * f64::exp2(24.0) + FUNCTION * terms }
    }

    /// How far f32 may stray, absolutely.
    pub fn reach(self) -> f64 {
        self.stray * f64::exp2(-24.0)
    }
}

/// Exact numbers.
pub fn exact<T: Copy + Into<f64>>(values: &[T]) -> Vec<Number> {
    values.iter().map(|v| Number::exact((*v).into())).collect()
}

/// Row-major `[rows, cols]`.
pub fn table(rows: usize, cols: usize, f: impl Fn(usize, usize) -> Number) -> Vec<Number> {
    (0..rows * cols).map(|i| f(i / cols, i % cols)).collect()
}

/// x W^T + b, W being `[outer, inner]`.
pub fn linear(x: &[Number], inner: usize, weight: &[Number], bias: Option<&[Number]>, outer: usize) -> Vec<Number> {
    let products = |r: usize, o: usize| (0..inner).map(move |i| x[r * inner + i].times(weight[o * inner + i]));
    table(x.len() / inner, outer, |r, o| Number::sum(products(r, o).chain(bias.map(|bias| bias[o]))))
}

/// From the gradient of a product's result back to that of its input.
pub fn back(dy: &[Number], outer: usize, weight: &[Number], inner: usize) -> Vec<Number> {
    table(dy.len() / outer, inner, |r, i| Number::sum((0..outer).map(|o| dy[r * outer + o].times(weight[o * inner + i]))))
}

/// The gradient of a product's weight, `[outer, inner]`.
pub fn of_weight(dy: &[Number], outer: usize, x: &[Number], inner: usize) -> Vec<Number> {
    table(outer, inner, |o, i| Number::sum((0..dy.len() / outer).map(|r| dy[r * outer + o].times(x[r * inner + i]))))
}

/// A network, as a trainer has it.
#[derive(Clone, Debug)]
pub struct Replica {
    pub function: Function,
    pub blocks: usize,
    pub d_model: usize,
    pub d_ff: usize,
    pub residual: bool,
    pub weights: Named<f64>,
    /// Dropout of the first block, whose stream the others count on from, and the count.
    pub dropout: Option<(Dropout, u32)>,
}

/// What a forward pass leaves.
#[derive(Debug, Default)]
pub struct Pass {
    /// Input of every block, and the last output.
    pub x: Vec<Vec<Number>>,
    /// What the activation is applied to, or gate and up.
    z: Vec<Vec<Vec<Number>>>,
    pub hidden: Vec<Vec<Number>>,
}

impl Replica {
    pub fn weight(&self, name: &str) -> Vec<Number> {
        exact(&self.weights[name])
    }

    fn of(&self, block: usize, name: &str) -> Option<Vec<Number>> {
        self.weights.get(&format!("blocks.{block}.{name}")).map(|values| exact(values))
    }

    /// Names of weights and biases into hidden, and of those out of it.
    fn names(&self) -> (&'static [[&'static str; 2]], [&'static str; 2]) {
        match self.function {
            Function::Activation(_) => (&[["w1", "b1"]], ["w2", "b2"]),
            Function::Gate(_) => (&[["w_gate", "b_gate"], ["w_up", "b_up"]], ["w_down", "b_down"]),
        }
    }

    /// What dropout multiplies an element of hidden by.
    fn factor(&self, block: usize, e: usize) -> Number {
        let Some((Dropout { probability, seed, stream }, count)) = self.dropout else { return Number::exact(1.0) };
        let kept = oracle::kept(seed, stream + block as u32, count, e as u64, probability);
        // Its rounding, and that of the product.
        if kept { Number { value: 1.0 / (1.0 - probability), stray: 2.0 / (1.0 - probability) } } else { Number::exact(0.0) }
    }

    /// The function at an element of hidden, with what was learned.
    fn function_at(&self, block: usize, e: usize) -> Function {
        let Some(learned) = self.weights.get(&format!("blocks.{block}.parameters")) else { return self.function.clone() };
        let channels = learned.len() / self.function.learnable_len();
        let changed = |activation: &Activation| {
            let names = activation.parameters().into_iter().take(activation.learnable_len()).enumerate();
            let value = |k: usize| learned[k * channels + e % self.d_ff % channels];
            names.fold(activation.clone(), |activation, (k, (name, _))| activation.with(&name, value(k)).unwrap())
        };
        match &self.function {
            Function::Activation(activation) => Function::Activation(changed(activation)),
            Function::Gate(Gate::Of(activation)) => Function::Gate(Gate::Of(changed(activation))),
            Function::Gate(gate) => Function::Gate(gate.clone()),
        }
    }

    /// Hidden, the derivatives by z, and those by what is learned.
    fn apply(&self, block: usize, e: usize, z: &[Vec<Number>]) -> (Number, Vec<Number>, Vec<Number>) {
        match self.function_at(block, e) {
            Function::Activation(a) => {
                let z = z[0][e];
                let (value, slope) = activated(&a, z);
                (value, vec![slope], learned(&a, z))
            }
            Function::Gate(Gate::Of(a)) => {
                let (g, u) = (z[0][e], z[1][e]);
                let (value, slope) = activated(&a, g);
                let rounded = |n: Number| Number { stray: n.stray + n.value.abs(), ..n };
                (rounded(value.times(u)), vec![rounded(slope.times(u)), value], learned(&a, g).into_iter().map(|d| d.times(u)).collect())
            }
            Function::Gate(gate) => {
                let of = [z[0][e], z[1][e]];
                let [g, u] = of.map(|n| n.value);
                let terms = oracle::gate_gradient_terms(&gate, g, u);
                let value = Number::through(of, oracle::gate_terms(&gate, g, u), |[g, u]| oracle::gate_value(&gate, g, u));
                let by_gate = Number::through(of, terms.0, |[g, u]| oracle::gate_gradient(&gate, g, u).0);
                (value, vec![by_gate, Number::through(of, terms.1, |[g, u]| oracle::gate_gradient(&gate, g, u).1)], Vec::new())
            }
        }
    }

    /// All blocks.
    pub fn forward(&self, x: Vec<Number>) -> Pass {
        let (into, [w, b]) = self.names();
        let mut pass = Pass::default();
        let mut x = x;
        for block in 0..self.blocks {
            let bias = |name: &str| self.of(block, name);
            let product = |[w, b]: &[&str; 2]| linear(&x, self.d_model, &self.of(block, w).unwrap(), bias(b).as_deref(), self.d_ff);
            let z: Vec<_> = into.iter().map(product).collect();
            let hidden: Vec<_> = (0..z[0].len()).map(|e| self.apply(block, e, &z).0.times(self.factor(block, e))).collect();
            let mut y = linear(&hidden, self.d_ff, &self.of(block, w).unwrap(), bias(b).as_deref(), self.d_model);
            if self.residual {
                y.iter_mut().zip(&x).for_each(|(y, x)| *y = Number::sum([*y, *x].into_iter()));
            }
            pass.z.push(z);
            pass.hidden.push(hidden);
            pass.x.push(std::mem::replace(&mut x, y));
        }
        pass.x.push(x);
        pass
    }

    /// The gradient of the first input, and those of the blocks' weights, from that of the last output.
    pub fn backward(&self, pass: &Pass, dy: Vec<Number>) -> (Vec<Number>, Named<Number>) {
        let Self { d_model, d_ff, .. } = *self;
        let (into, [w, b]) = self.names();
        let (mut dy, mut gradients) = (dy, Named::new());
        for block in (0..self.blocks).rev() {
            let (x, z, hidden) = (&pass.x[block], &pass.z[block], &pass.hidden[block]);
            let mut note = |name: &str, gradient| {
                // Of a tensor that the network has.
                let name = format!("blocks.{block}.{name}");
                if self.weights.contains_key(&name) {
                    gradients.insert(name, gradient);
                }
            };
            note(w, of_weight(&dy, d_model, hidden, d_ff));
            note(b, of_weight(&dy, d_model, &vec![Number::exact(1.0); dy.len() / d_model], 1));
            let dhidden = back(&dy, d_model, &self.of(block, w).unwrap(), d_ff);
            let dhidden: Vec<_> = dhidden.into_iter().enumerate().map(|(e, d)| d.times(self.factor(block, e))).collect();
            let applied: Vec<_> = (0..hidden.len()).map(|e| self.apply(block, e, z)).collect();
            let mut dx = if self.residual { dy.clone() } else { vec![Number::default(); dy.len()] };
            for (k, [w, b]) in into.iter().enumerate() {
                let dz: Vec<_> = applied.iter().zip(&dhidden).map(|((_, slopes, _), d)| d.times(slopes[k])).collect();
                note(w, of_weight(&dz, d_ff, x, d_model));
                note(b, of_weight(&dz, d_ff, &vec![Number::exact(1.0); dz.len() / d_ff], 1));
                let part = back(&dz, d_ff, &self.of(block, w).unwrap(), d_model);
                dx.iter_mut().zip(part).for_each(|(dx, part)| *dx = Number::sum([*dx, part].into_iter()));
            }
            if let Some(learned) = self.of(block, "parameters") {
                let channels = learned.len() / self.function.learnable_len();
                let of = |k: usize, c: usize| {
                    let own = (0..hidden.len()).filter(|e| e % d_ff % channels == c);
                    Number::sum(own.map(|e| dhidden[e].times(applied[e].2[k])))
                };
                note("parameters", table(learned.len() / channels, channels, of));
            }
            dy = dx;
        }
        (dy, gradients)
    }
}

/// f and f' at z.
fn activated(activation: &Activation, z: Number) -> (Number, Number) {
    let (value, derivative) = (subject::value(activation, z.value).abs(), subject::derivative(activation, z.value).abs());
    let terms = match activation {
        Activation::Custom(_) => [value, derivative],
        _ => [oracle::terms(activation, z.value), oracle::derivative_terms(activation, z.value)],
    };
    let of = |terms, f: fn(&Activation, f64) -> f64| Number::through([z], terms, |[z]| f(activation, z));
    (of(terms[0], subject::value), of(terms[1], subject::derivative))
}

/// The derivatives by what is learned.
fn learned(activation: &Activation, z: Number) -> Vec<Number> {
    let gradient = oracle::parameter_gradient(activation, z.value);
    let of = |(k, d): (usize, &f64)| Number::through([z], d.abs(), |[z]| oracle::parameter_gradient(activation, z)[k]);
    gradient.iter().enumerate().map(of).collect()
}

/// Refuses what strays further than it may; the largest error beside its bound.
pub fn judge(what: &str, truths: &[Number], actual: &[f32]) -> Result<f64, String> {
    if truths.len() != actual.len() {
        return Err(format!("{what}: {} numbers, not {}", actual.len(), truths.len()));
    }
    let mut worst = 0.0_f64;
    for (i, (truth, actual)) in truths.iter().zip(actual).enumerate() {
        let error = (f64::from(*actual) - truth.value).abs();
        // Subnormal numbers may be flushed.
        let allowed = truth.reach() + f64::from(f32::MIN_POSITIVE);
        if error.is_nan() || !allowed.is_finite() || error > allowed {
            return Err(format!("{what}: #{i} is {actual:e}, truth {:e}, off by {error:e} of {allowed:e}", truth.value));
        }
        worst = worst.max(error / allowed);
    }
    Ok(worst)
}

/// The norm of all errors beside that of the truth. Errors of many roundings hardly ever point the same way, as the bound of each
/// number must assume, so that this is far smaller, and sees what that would let pass.
pub fn distance(truths: &[Number], actual: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let errors = norm(&mut truths.iter().zip(actual).map(|(truth, actual)| f64::from(*actual) - truth.value));
    errors / norm(&mut truths.iter().map(|truth| truth.value)).max(f64::MIN_POSITIVE)
}
