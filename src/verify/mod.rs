//! The accuracy contract, measured on an adapter: every activation and gate, forward and backward, in every kind.
//!
//! [`Report::to_json`] writes `ffwd-verify/1`:
//!
//! | key | value |
//! | --- | --- |
//! | `schema`, `version`, `date` | `"ffwd-verify/1"`, the crate's version, when it was measured (RFC 3339, UTC) |
//! | `adapter`, `backend`, `driver`, `driver_info` | what wgpu says, the backend in lower case |
//! | `software` | whether the adapter computes on the CPU |
//! | `limits` | of the device: `"adapter"`, or `"webgpu-default"` where it has none above WebGPU's defaults and no optional feature |
//! | `features` | optional ones of the device |
//! | `host` | `os`, `arch` |
//! | `passed` | whether every row holds |
//! | `rows` | see below |
//!
//! Each of `rows`, in which NaN and infinities are strings:
//!
//! | key | value |
//! | --- | --- |
//! | `function`, `output`, `element` | of [`Row`] |
//! | `inputs`, `breaches` | how many inputs were tried, and for how many of them the contract does not hold |
//! | `max_ulp`, `allowed_ulp` | the largest error and the largest allowed |
//! | `worst` | the `inputs` of the largest error, the `actual` result, and the `truth` |

mod report;

use crate::accuracy::{self, Random, Sample};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Gpu, Tensor};
use crate::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward};
use crate::oracle;
use crate::shader::function::Function;

pub use report::Report;

/// Largest error of the 16-bit kinds in their own units, whatever the function: half a unit is rounding.
pub const HALF_KIND_ULP: f64 = 0.51;

/// What a gate's product adds to its activation's error, and the most that any value and derivative may have.
const PRODUCT_ULP: f64 = 0.5;
const VALUE_ULP: f64 = 4.0;
const DERIVATIVE_ULP: f64 = 8.0;

/// Elements over which the gradients of learnable parameters are summed, and their bound: the longest chain of additions
/// (64 terms in each of 1024 splits, then the splits; Higham 2002, section 3.1) and 8 ULP of a term itself.
const SUMMED: usize = 1 << 16;
const SUM_ALLOWED: f64 = 64.0 + 1024.0 + 8.0;

/// What is measured at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The function.
    pub function: Function,
    /// Derivative instead of value.
    pub backward: bool,
    /// Kind of the tensors.
    pub element: Element,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The function with its parameters.
    pub name: String,
    /// `y`, `dx`, `dgate` or `dup`; `dparameters` for the gradients of learnable parameters, whose errors are counted in
    /// 2^-24 of the sum of the absolute values of their terms.
    pub output: &'static str,
    /// Kind of the tensors.
    pub element: Element,
    /// How many inputs were tried.
    pub inputs: usize,
    /// Largest error in units in the last place.
    pub ulp: f64,
    /// Largest error allowed.
    pub allowed: f64,
    /// Inputs outside the contract.
    pub breaches: usize,
    /// The worst input (gate and up for gates; the parameter's number for `dparameters`), what the device made of it, and the truth.
    pub at: (f32, f32, f32, f64),
}

impl Row {
    /// Whether the contract holds.
    pub fn passed(&self) -> bool {
        self.breaches == 0
    }
}

/// Every case of the table: each function with its defaults, and some with other parameters.
pub fn cases() -> Vec<Case> {
    let changed = [
        ("leaky_relu", "negative_slope", 0.2),
        ("elu", "alpha", 0.7),
        ("celu", "alpha", 1.3),
        ("softplus", "beta", 2.0),
        ("softplus", "threshold", 1.1),
        ("swish", "beta", 1.3),
        ("swish", "beta", -0.7),
        ("hardtanh", "max_val", 0.3),
        ("softshrink", "lambd", 0.3),
        ("threshold", "threshold", 0.1),
    ];
    let changed = changed.iter().filter_map(|(name, parameter, value)| Activation::parse(name).ok()?.with(parameter, *value).ok());
    let activations = Activation::all().chain(changed).map(Function::Activation);
    let beta = Gate::parse("swiglu_beta").ok().and_then(|gate| gate.with("beta", 1.5).ok());
    let functions: Vec<_> = activations.chain(Gate::all().chain(beta).map(Function::Gate)).collect();
    let mut cases = Vec::new();
    for function in functions {
        for backward in [false, true] {
            for element in Element::ALL {
                cases.push(Case { function: function.clone(), backward, element });
            }
        }
    }
    cases
}

impl Case {
    /// The bound in ULP of the case's kind for an output (`y`, `dx`, `dgate`, `dup`).
    pub fn allowed(&self, output: &str) -> f64 {
        if self.element != Element::F32 {
            return HALF_KIND_ULP;
        }
        // `dup` is a gradient, though its formula is the value's.
        let most = if output == "y" { VALUE_ULP } else { DERIVATIVE_ULP };
        let derivative = matches!(output, "dx" | "dgate");
        let of = |activation: &Activation| {
            activation.spec().map_or(most, |spec| if derivative { spec.accuracy.backward } else { spec.accuracy.forward })
        };
        match &self.function {
            Function::Activation(activation) => of(activation),
            Function::Gate(Gate::Of(activation)) => (of(activation) + PRODUCT_ULP).min(most),
            Function::Gate(_) => most,
        }
    }

    /// Measures on `gpu`; `pollster::block_on` waits for it where a thread may block.
    ///
    /// # Errors
    /// Whatever the device refuses.
    pub async fn measure(&self, gpu: &Gpu) -> Result<Vec<Row>, Error> {
        let x = accuracy::inputs(self.element);
        match &self.function {
            Function::Activation(activation) => self.activation(gpu, activation, &x).await,
            Function::Gate(gate) => self.gate(gpu, gate, &x).await,
        }
    }

    async fn activation(&self, gpu: &Gpu, activation: &Activation, x: &[f32]) -> Result<Vec<Row>, Error> {
        let op = Activate::new(gpu, activation.clone());
        let dy = self.rounded(&factors(x.len(), 2));
        let (tensor, out) = (gpu.tensor(x, &[x.len()], self.element)?, gpu.zeros(&[x.len()], self.element)?);
        let plan = if self.backward {
            let dy = gpu.tensor(&dy, &[x.len()], self.element)?;
            op.backward(Backward { x: &tensor, dy: &dy, dx: &out, bias: None, parameters: None })?
        } else {
            op.forward(Forward { x: &tensor, y: &out, bias: None, parameters: None })?
        };
        plan.submit(gpu);
        let truth = |x: f64, dy: f64, _| {
            if self.backward {
                (oracle::derivative(activation, x) * dy, oracle::derivative_terms(activation, x) * dy.abs())
            } else {
                (oracle::value(activation, x), oracle::terms(activation, x))
            }
        };
        let name = if self.backward { "dx" } else { "y" };
        let mut rows = vec![self.row(gpu, activation.to_string(), name, &out, [x, &dy], truth).await?];
        if self.backward && activation.learnable_len() > 0 {
            rows.push(self.parameters(gpu, activation).await?);
        }
        Ok(rows)
    }

    async fn gate(&self, gpu: &Gpu, gate: &Gate, g: &[f32]) -> Result<Vec<Row>, Error> {
        let op = Gated::new(gpu, gate.clone());
        let len = g.len();
        let (u, dy) = (self.rounded(&factors(len, 3)), self.rounded(&factors(len, 4)));
        let (gate_in, up_in) = (gpu.tensor(g, &[len], self.element)?, gpu.tensor(&u, &[len], self.element)?);
        let (first, second) = (gpu.zeros(&[len], self.element)?, gpu.zeros(&[len], self.element)?);
        let input = GateInput::Separate { gate: &gate_in, up: &up_in };
        let name = gate.to_string();
        if !self.backward {
            op.forward(GatedForward { input, y: &first, bias: None, parameters: None })?.submit(gpu);
            let truth = |g: f64, u: f64, _| (oracle::gate_value(gate, g, u), oracle::gate_terms(gate, g, u));
            return Ok(vec![self.row(gpu, name, "y", &first, [g, &u], truth).await?]);
        }
        let dy_in = gpu.tensor(&dy, &[len], self.element)?;
        let grads = GateInput::Separate { gate: &first, up: &second };
        op.backward(GatedBackward { input, dy: &dy_in, grads, bias: None, parameters: None })?.submit(gpu);
        let gradient = |g: f64, u: f64, i: usize| {
            let dy = f64::from(dy[i]);
            let ((dgate, dup), (gate_terms, up_terms)) = (oracle::gate_gradient(gate, g, u), oracle::gate_gradient_terms(gate, g, u));
            ((dgate * dy, gate_terms * dy.abs()), (dup * dy, up_terms * dy.abs()))
        };
        Ok(vec![
            self.row(gpu, name.clone(), "dgate", &first, [g, &u], |g, u, i| gradient(g, u, i).0).await?,
            self.row(gpu, name, "dup", &second, [g, &u], |g, u, i| gradient(g, u, i).1).await?,
        ])
    }

    /// Gradients of the learnable parameters, shared by all elements: sums of as many terms.
    async fn parameters(&self, gpu: &Gpu, activation: &Activation) -> Result<Row, Error> {
        let mut random = Random::new(6);
        let x = self.rounded(&(0..SUMMED).map(|_| random.uniform(-8.0, 8.0)).collect::<Vec<_>>());
        let dy = self.rounded(&factors(SUMMED, 7));
        let learned: Vec<f32> = activation.values()[..activation.learnable_len()].iter().map(|v| *v as f32).collect();
        let tensor = |data: &[f32], element| gpu.tensor(data, &[data.len()], element);
        let (x_in, dy_in) = (tensor(&x, self.element)?, tensor(&dy, self.element)?);
        let (table, out) = (tensor(&learned, Element::F32)?, gpu.zeros(&[learned.len()], Element::F32)?);
        let args = Backward { x: &x_in, dy: &dy_in, dx: &dy_in, bias: None, parameters: Some(&table) };
        Activate::new(gpu, activation.clone()).parameter_gradient(args, &out)?.submit(gpu);
        // The device was given the parameters in f32.
        let names = activation.parameters();
        let mut given = activation.clone();
        for ((name, _), value) in names.iter().zip(&learned) {
            given = given.with(name, f64::from(*value))?;
        }
        let (mut sums, mut terms) = (vec![0.0; learned.len()], vec![0.0; learned.len()]);
        for (x, dy) in x.iter().zip(&dy) {
            for (k, slope) in oracle::parameter_gradient(&given, f64::from(*x)).into_iter().enumerate() {
                let term = f64::from(*dy) * slope;
                sums[k] += term;
                terms[k] += term.abs();
            }
        }
        let actual = gpu.read_back_async(&out).await?;
        let errors = (0..sums.len()).map(|k| (f64::from(actual[k]) - sums[k]).abs() / libm::ldexp(terms[k], -24));
        // NaN is the largest of all.
        let (worst, ulp) = errors.enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap_or((0, 0.0));
        let allowed = SUM_ALLOWED;
        Ok(Row {
            name: activation.to_string(),
            output: "dparameters",
            element: self.element,
            inputs: SUMMED,
            ulp,
            allowed,
            breaches: usize::from(ulp.is_nan() || ulp > allowed),
            at: (worst as f32, 0.0, actual[worst], sums[worst]),
        })
    }

    fn rounded(&self, values: &[f32]) -> Vec<f32> {
        self.element.decode(&self.element.encode(values))
    }

    /// Compares `out` with `truth(first, second, index)`, a value and the terms that cancel in it.
    async fn row(
        &self,
        gpu: &Gpu,
        name: String,
        output: &'static str,
        out: &Tensor,
        inputs: [&[f32]; 2],
        truth: impl Fn(f64, f64, usize) -> (f64, f64),
    ) -> Result<Row, Error> {
        let actual = gpu.read_back_async(out).await?;
        let allowed = self.allowed(output);
        let sample = |i: usize, first: f32| {
            let (truth, terms) = truth(f64::from(first), f64::from(inputs[1][i]), i);
            let forgiven = if self.forgives() && terms.is_finite() { libm::ldexp(terms, -23) } else { 0.0 };
            Sample { actual: actual[i], truth, forgiven }
        };
        let judged = |i: usize| accuracy::judged(self.element, allowed, inputs[0][i], |first| sample(i, first));
        let samples: Vec<_> = (0..actual.len()).map(judged).collect();
        let worst = accuracy::worst(&samples, self.element, allowed);
        let Sample { actual, truth, .. } = samples[worst.index];
        Ok(Row {
            name,
            output,
            element: self.element,
            inputs: samples.len(),
            ulp: worst.ulp,
            allowed,
            breaches: worst.breaches,
            at: (inputs[0][worst.index], inputs[1][worst.index], actual, truth),
        })
    }

    /// Whether 2^-23 of the terms that cancel is forgiven: in f32, around the roots of a rational and of xielu, and of their derivatives.
    fn forgives(&self) -> bool {
        let rooted = matches!(self.function.activation(), Some(Activation::Rational { .. } | Activation::Xielu { .. }));
        self.element == Element::F32 && rooted
    }
}

fn factors(len: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.factor()).collect()
}
