//! Feed-forward layers with random weights, on the host and on a device.

use ffwd::accuracy::Sample;
use ffwd::nn::{FeedForwardArgs, Layer};
use ffwd::oracle::{Bounded, DenseWeights, GatedWeights, dense, dense_backward, gated, gated_backward};
use ffwd::shader::matmul::{Loop, Tile, Total};
use ffwd::{Activation, Custom, Element, FeedForward, Gate, Gpu, Tensor};

use super::{Guarded, half_unit, judge, numbers, rounded, sum_bound};

/// Units that an activation or gate may be off.
const FUNCTION_ULP: f64 = 4.5;

/// What is applied to hidden.
#[derive(Clone, Debug)]
pub enum Function {
    Dense(Activation),
    Gated(Gate),
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dense(activation) => write!(f, "dense {activation}"),
            Self::Gated(gate) => write!(f, "gated {gate}"),
        }
    }
}

impl Function {
    pub fn dense(name: &str) -> Self {
        Self::Dense(Activation::parse(name).unwrap())
    }

    pub fn gated(name: &str) -> Self {
        Self::Gated(Gate::parse(name).unwrap())
    }

    /// As the device gets it: squared ReLU stands for a user's own expression, of which the oracle knows the truth.
    fn on_device(&self) -> Self {
        let custom = |activation: &Activation| match activation {
            Activation::ReluSquared => Custom::new("own", "max(x, 0.0) * max(x, 0.0)", "2.0 * max(x, 0.0)", &[]).unwrap().into_activation(),
            other => other.clone(),
        };
        match self {
            Self::Dense(activation) => Self::Dense(custom(activation)),
            Self::Gated(Gate::Of(activation)) => Self::Gated(Gate::Of(custom(activation))),
            Self::Gated(gate) => Self::Gated(gate.clone()),
        }
    }
}

/// A layer's numbers, exact in their kinds. Of a dense layer, `up` and its bias are unused.
#[derive(Clone)]
pub struct Weights {
    pub function: Function,
    pub element: Element,
    pub d_model: usize,
    pub d_ff: usize,
    pub first: Vec<f32>,
    pub up: Vec<f32>,
    pub last: Vec<f32>,
    /// Of first, up and last.
    pub biases: Option<[Vec<f32>; 3]>,
}

impl Weights {
    /// Numbers small enough that hidden values stay where activations bend.
    pub fn random(function: Function, element: Element, d_model: usize, d_ff: usize, bias: bool) -> Self {
        let some = |len, seed| small(element, len, seed);
        let (first, up, last) = (some(d_ff * d_model, 11), some(d_ff * d_model, 12), some(d_model * d_ff, 13));
        let biases = bias.then(|| [some(d_ff, 14), some(d_ff, 15), some(d_model, 16)]);
        Self { function, element, d_model, d_ff, first, up, last, biases }
    }

    /// On the device; weights start `offset` elements off the alignment.
    pub fn upload(&self, gpu: &Gpu, offset: usize) -> FeedForward {
        let Self { element, d_model, d_ff, .. } = *self;
        let tensor = |values: &[f32], shape: &[usize]| Guarded::holding(gpu, values, shape, element, offset).tensor;
        let bias = |k: usize| self.biases.as_ref().map(|biases| tensor(&biases[k], &[biases[k].len()]));
        let (first, last) = (tensor(&self.first, &[d_ff, d_model]), tensor(&self.last, &[d_model, d_ff]));
        let layer = match self.function.on_device() {
            Function::Dense(activation) => Layer::Dense { activation, w1: first.into(), b1: bias(0), w2: last.into(), b2: bias(2) },
            Function::Gated(gate) => Layer::Gated {
                gate,
                w_gate: first.into(),
                w_up: tensor(&self.up, &[d_ff, d_model]).into(),
                biases: bias(0).zip(bias(1)),
                w_down: last.into(),
                b_down: bias(2),
            },
        };
        FeedForward::new(gpu, layer)
    }

    fn bias(&self, k: usize) -> Option<&[f32]> {
        self.biases.as_ref().map(|biases| biases[k].as_slice())
    }

    fn dense(&self) -> DenseWeights<'_> {
        let Self { d_model, d_ff, ref first, ref last, .. } = *self;
        DenseWeights { d_model, d_ff, w1: first, b1: self.bias(0), w2: last, b2: self.bias(2) }
    }

    pub fn gated(&self) -> GatedWeights<'_> {
        let Self { d_model, d_ff, ref first, ref up, ref last, .. } = *self;
        let (b_gate, b_up, b_down) = (self.bias(0), self.bias(1), self.bias(2));
        GatedWeights { d_model, d_ff, w_gate: first, b_gate, w_up: up, b_up, w_down: last, b_down }
    }

    /// The truth with what bounds its error.
    pub fn truth(&self, x: &[f32]) -> Vec<Bounded> {
        let tokens = x.len() / self.d_model;
        match &self.function {
            Function::Dense(activation) => dense(x, tokens, &self.dense(), activation),
            Function::Gated(gate) => gated(x, tokens, &self.gated(), gate),
        }
    }

    /// Refuses what is further from the truth than the sums' bound and the rounding to `element`.
    pub fn judge(&self, x: &[f32], element: Element, y: &[f32]) -> Result<(), String> {
        let truths = self.truth(x);
        let sample = |(truth, actual): (&Bounded, &f32)| {
            let sums = sum_bound(self.d_model + self.d_ff + 2, FUNCTION_ULP, truth.terms);
            let rounding = if element == Element::F32 { 0.0 } else { half_unit(element, truth.value) };
            Sample { actual: *actual, truth: truth.value, forgiven: sums + rounding }
        };
        judge(element, 0.0, &truths.iter().zip(y).map(sample).collect::<Vec<_>>(), |i| (i / self.d_model, i % self.d_model))
    }
}

/// Random numbers of a layer: an eighth of the usual ones.
pub fn small(element: Element, len: usize, seed: u64) -> Vec<f32> {
    rounded(element, &numbers(element, len, seed).iter().map(|v| v / 8.0).collect::<Vec<_>>())
}

/// Rows for a layer.
pub fn tokens(element: Element, tokens: usize, d_model: usize) -> Vec<f32> {
    numbers(element, tokens * d_model, 17)
}

/// Every loop of the device.
pub fn loops(gpu: &Gpu) -> Vec<Loop> {
    let mut loops = Loop::available(&gpu.capabilities(), true);
    // Those take f16 alone and have tests of their own.
    loops.retain(|looping| !matches!(looping, Loop::Cooperative(_)));
    loops
}

/// One loop of each sort that the device has.
pub fn some_loops(gpu: &Gpu) -> Vec<Loop> {
    let sorts = [Loop::Direct(4), Loop::Broadcast(2), Loop::Broadcast(8), Loop::Dot(2, Total::Tree), Loop::Tiled(Tile::SMALL_TWICE)];
    let subgroup = |looping: &Loop| matches!(looping, Loop::Dot(4, Total::Subgroup(_)));
    loops(gpu).into_iter().filter(|looping| sorts.contains(looping) || subgroup(looping)).collect()
}

/// One loop that stages nothing and one that stages: what loads, stores and epilogues meet is the same for all others.
pub fn two_loops(_: &Gpu) -> Vec<Loop> {
    vec![Loop::Direct(4), Loop::Tiled(Tile::SMALL)]
}

/// Runs a layer on rows that start `offset` elements off the alignment, as do hidden and y; both must be written whole.
#[cfg(not(target_arch = "wasm32"))]
pub fn run(gpu: &Gpu, layer: FeedForward, x: &[f32], element: Element, looping: Loop, offset: usize) -> Result<Vec<f32>, String> {
    pollster::block_on(run_async(gpu, layer, x, element, looping, offset))
}

/// The same where a thread must not block.
pub async fn run_async(
    gpu: &Gpu,
    layer: FeedForward,
    x: &[f32],
    element: Element,
    looping: Loop,
    offset: usize,
) -> Result<Vec<f32>, String> {
    let layer = layer.with_loop(looping);
    let d_model = match layer.layer() {
        Layer::Dense { w2: last, .. } | Layer::Gated { w_down: last, .. } => last.shape()[0],
    };
    let shape = [x.len() / d_model, d_model];
    let x: Tensor = Guarded::holding(gpu, x, &shape, element, offset).tensor;
    let hidden = Guarded::output(gpu, &[shape[0], layer.d_ff()], Element::F32, offset / 2);
    let y = Guarded::output(gpu, &shape, element, offset);
    layer.plan(FeedForwardArgs { x: &x, hidden: &hidden.tensor, y: &y.tensor }).unwrap().submit(gpu);
    hidden.check_async(gpu).await.map_err(|fault| format!("hidden: {fault}"))?;
    y.check_async(gpu).await
}

impl Weights {
    /// The gradients of `sum(dy * y)`: of x, then of the weights in the order of [`Layer::weights`].
    pub fn gradients(&self, x: &[f32], dy: &[f32]) -> Vec<Vec<Bounded>> {
        let tokens = x.len() / self.d_model;
        let (all, biased) = match &self.function {
            Function::Dense(activation) => {
                let g = dense_backward(x, dy, tokens, &self.dense(), activation);
                (vec![g.x, g.w1, g.w2], vec![g.b1, g.b2])
            }
            Function::Gated(gate) => {
                let g = gated_backward(x, dy, tokens, &self.gated(), gate);
                (vec![g.x, g.w_gate, g.w_up, g.w_down], vec![g.b_gate, g.b_up, g.b_down])
            }
        };
        let biased = if self.biases.is_some() { biased } else { Vec::new() };
        all.into_iter().chain(biased).collect()
    }

    /// Refuses a gradient that is further from the truth than the bound of `tokens`, d_model and d_ff terms.
    pub fn judge_gradient(&self, tokens: usize, element: Element, truths: &[Bounded], actual: &[f32]) -> Result<(), String> {
        let sample = |(truth, actual): (&Bounded, &f32)| {
            let sums = sum_bound(tokens + self.d_model + self.d_ff + 4, 2.0 * FUNCTION_ULP, truth.terms);
            let rounding = if element == Element::F32 { 0.0 } else { half_unit(element, truth.value) };
            Sample { actual: *actual, truth: truth.value, forgiven: sums + rounding }
        };
        if truths.len() != actual.len() {
            return Err(format!("{} numbers, not {}", actual.len(), truths.len()));
        }
        judge(element, 0.0, &truths.iter().zip(actual).map(sample).collect::<Vec<_>>(), |i| i)
    }
}
