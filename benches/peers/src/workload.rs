//! What is run: sizes, inputs, what it costs, and what is right.

use ffwd::accuracy::Random;
use ffwd::{Activation, Error, Gate, oracle};

/// One workload, in f32 throughout.
#[derive(Debug, Clone)]
pub enum Workload {
    /// y = x w: x `[rows, depth]`, w `[depth, cols]`.
    Product {
        /// Rows of x and y.
        rows: usize,
        /// Addends of one sum.
        depth: usize,
        /// Columns of w and y.
        cols: usize,
    },
    /// y = (silu(x w_gate) * (x w_up)) w_down, without biases.
    SwiGlu {
        /// Rows of x and y.
        tokens: usize,
        /// Columns of x and y.
        d_model: usize,
        /// Columns of what lies between.
        d_ff: usize,
    },
    /// y = f(x) on `len` elements.
    Activation {
        /// f.
        f: Activation,
        /// Elements.
        len: usize,
    },
    /// y = f(x) * up on `len` elements, x and up being two tensors.
    Gate {
        /// f.
        f: Activation,
        /// Elements.
        len: usize,
    },
}

/// A matrix of f32, row-major.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// `rows * cols` numbers.
    pub data: Vec<f32>,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// What is right, and how far f32 may stray from it.
pub struct Truth {
    /// Value and terms of each element of y; terms are the sum of the absolute values of what is added up.
    pub elements: Vec<oracle::Bounded>,
    /// The error that is allowed, in units of 2^-24 of the terms.
    pub allowed: f64,
}

/// A unit of arithmetic for a rate.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Floating-point operations, an addition and a multiplication being two.
    Flop(f64),
    /// Bytes that must be read or written.
    Bytes(f64),
}

impl Workload {
    /// All of them.
    ///
    /// # Errors
    /// [`Error::UnknownName`] where ffwd has renamed an activation.
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut all = vec![Self::Product { rows: 1024, depth: 1024, cols: 1024 }];
        let layers = [(128, 576, 1536), (512, 768, 2048), (16, 576, 1536), (1, 576, 1536)];
        all.extend(layers.map(|(tokens, d_model, d_ff)| Self::SwiGlu { tokens, d_model, d_ff }));
        for len in [1 << 22, 1 << 24] {
            for name in ["relu", "silu", "sigmoid", "tanh", "gelu"] {
                all.push(Self::Activation { f: Activation::parse(name)?, len });
            }
            for name in ["silu", "gelu"] {
                all.push(Self::Gate { f: Activation::parse(name)?, len });
            }
        }
        Ok(all)
    }

    /// Its name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Product { rows, depth, cols } => format!("product {rows}x{depth}x{cols}"),
            Self::SwiGlu { tokens, d_model, d_ff } => format!("swiglu layer {tokens}x{d_model}x{d_ff}"),
            Self::Activation { f, len } => format!("{} 2^{}", f.name(), len.ilog2()),
            Self::Gate { f, len } => format!("{}(g)*u 2^{}", f.name(), len.ilog2()),
        }
    }

    /// What one run must at least do.
    pub fn work(&self) -> Work {
        match *self {
            Self::Product { rows, depth, cols } => Work::Flop(2.0 * (rows * depth * cols) as f64),
            Self::SwiGlu { tokens, d_model, d_ff } => Work::Flop(6.0 * (tokens * d_model * d_ff) as f64),
            Self::Activation { len, .. } => Work::Bytes(8.0 * len as f64),
            Self::Gate { len, .. } => Work::Bytes(12.0 * len as f64),
        }
    }

    /// Random inputs, the same on every run: x; then w, or w_gate, w_up and w_down, or up. Weights are `[in, out]`.
    pub fn inputs(&self) -> Vec<Matrix> {
        let mut random = Random::new(7);
        let mut matrix = |rows: usize, cols: usize, reach: f32| {
            let data = (0..rows * cols).map(|_| random.uniform(-reach, reach)).collect();
            Matrix { data, rows, cols }
        };
        // Weights whose outputs have about the size of their inputs: a uniform number's variance is reach^2 / 3.
        let weight = |depth: usize| (3.0 / depth as f32).sqrt();
        match *self {
            Self::Product { rows, depth, cols } => vec![matrix(rows, depth, 1.0), matrix(depth, cols, weight(depth))],
            Self::SwiGlu { tokens, d_model, d_ff } => vec![
                matrix(tokens, d_model, 2.0),
                matrix(d_model, d_ff, weight(d_model)),
                matrix(d_model, d_ff, weight(d_model)),
                matrix(d_ff, d_model, weight(d_ff)),
            ],
            Self::Activation { len, .. } => vec![matrix(len / ROW, ROW, REACH)],
            Self::Gate { len, .. } => vec![matrix(len / ROW, ROW, REACH), matrix(len / ROW, ROW, REACH)],
        }
    }

    /// The result in f64.
    pub fn truth(&self, inputs: &[Matrix]) -> Truth {
        let exact = |value: f64, terms: f64| oracle::Bounded { value, terms };
        match (self, inputs) {
            (Self::Product { depth, .. }, [x, w]) => Truth { elements: product(x, w), allowed: SUM * *depth as f64 },
            (Self::SwiGlu { tokens, d_model, d_ff }, [x, w_gate, w_up, w_down]) => {
                let [w_gate, w_up, w_down] = [w_gate, w_up, w_down].map(Matrix::transposed);
                let weights = oracle::GatedWeights {
                    d_model: *d_model,
                    d_ff: *d_ff,
                    w_gate: &w_gate.data,
                    b_gate: None,
                    w_up: &w_up.data,
                    b_up: None,
                    w_down: &w_down.data,
                    b_down: None,
                };
                let elements = oracle::gated(&x.data, *tokens, &weights, &Gate::Of(Activation::Silu));
                Truth { elements, allowed: SUM * (d_model + d_ff) as f64 }
            }
            (Self::Activation { f, .. }, [x]) => {
                let elements = x.data.iter().map(|x| f64::from(*x)).map(|x| exact(oracle::value(f, x), x.abs().max(1.0)));
                Truth { elements: elements.collect(), allowed: ELEMENTWISE }
            }
            (Self::Gate { f, .. }, [x, up]) => {
                let pairs = x.data.iter().zip(&up.data).map(|(x, up)| (f64::from(*x), f64::from(*up)));
                let elements = pairs.map(|(x, up)| exact(oracle::value(f, x) * up, x.abs().max(1.0) * up.abs()));
                Truth { elements: elements.collect(), allowed: ELEMENTWISE }
            }
            // Inputs of another workload: nothing agrees with this.
            _ => Truth { elements: Vec::new(), allowed: 0.0 },
        }
    }
}

/// Length of a row of what is elementwise; its `len` is a multiple.
const ROW: usize = 1024;

/// Inputs of activations lie within this of 0, where every one of them bends.
const REACH: f32 = 8.0;

/// A sum of K products in f32 strays at most about K units of its terms; twice that where exponentials are on the way.
const SUM: f64 = 2.0;

/// Vulkan grants exp an error of 3 + 2 |x| ULP, that is 38 units of 2^-24 within [`REACH`]; two of those, a division
/// and a few products. An activation that is not the one asked for is off by hundreds at least.
const ELEMENTWISE: f64 = 96.0;

impl Matrix {
    /// Rows as columns.
    pub fn transposed(&self) -> Self {
        let data = (0..self.cols).flat_map(|col| (0..self.rows).map(move |row| self.data[row * self.cols + col])).collect();
        Self { data, rows: self.cols, cols: self.rows }
    }
}

fn product(x: &Matrix, w: &Matrix) -> Vec<oracle::Bounded> {
    let mut y = vec![oracle::Bounded { value: 0.0, terms: 0.0 }; x.rows * w.cols];
    for (x, y) in x.data.chunks_exact(x.cols).zip(y.chunks_exact_mut(w.cols)) {
        for (x, w) in x.iter().zip(w.data.chunks_exact(w.cols)) {
            for (y, w) in y.iter_mut().zip(w) {
                let term = f64::from(*x) * f64::from(*w);
                y.value += term;
                y.terms += term.abs();
            }
        }
    }
    y
}

impl Truth {
    /// The largest error of `y`, in units of 2^-24 of the terms; infinite where the lengths differ or a number is not finite.
    pub fn error(&self, y: &[f32]) -> f64 {
        if y.len() != self.elements.len() {
            return f64::INFINITY;
        }
        let errors = y.iter().zip(&self.elements).map(|(y, truth)| {
            let error = (f64::from(*y) - truth.value).abs() * f64::exp2(24.0);
            if error == 0.0 { 0.0 } else { error / truth.terms }
        });
        errors.fold(0.0, |worst, error| if error.is_finite() { error.max(worst) } else { f64::INFINITY })
    }
}
