//! The feed-forward layers of a model on the GPU.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ffwd::gpu::Matrix;
use ffwd::nn::FeedForwardArgs;
use ffwd::weights::FeedForwardWeights;
use ffwd::{Element, FeedForward, Gpu, Plan, Tensor};

use super::{Result, fail};

/// All layers of one model. Rows of hidden states go up, rows come back.
#[derive(Debug)]
pub struct FeedForwards {
    gpu: Gpu,
    layers: Vec<FeedForward>,
    /// By the number of rows.
    bound: BTreeMap<usize, Bound>,
    time: Duration,
    calls: Option<Vec<Call>>,
}

/// Every layer bound to the same tensors: they run one after the other.
#[derive(Debug)]
struct Bound {
    x: Tensor,
    y: Tensor,
    plans: Vec<Plan>,
}

/// What entered a layer and what left it.
#[derive(Debug)]
pub struct Call {
    pub layer: usize,
    pub x: Vec<f32>,
    pub y: Vec<f32>,
}

impl FeedForwards {
    /// Uploads layers as they are stored; `function` stands in for their own activation or gate.
    pub fn upload(gpu: &Gpu, weights: &[FeedForwardWeights], function: Option<&str>) -> Result<Self> {
        let layers =
            weights.iter().map(|weights| FeedForward::upload(gpu, weights, function, None)).collect::<std::result::Result<_, _>>()?;
        Ok(Self { gpu: gpu.clone(), layers, bound: BTreeMap::new(), time: Duration::ZERO, calls: None })
    }

    /// Compiles the kernels for so many rows, and allocates.
    pub fn prepare(&mut self, tokens: usize) -> Result<()> {
        if self.bound.contains_key(&tokens) {
            return Ok(());
        }
        let Some(first) = self.layers.first() else { return fail("a model without layers") };
        let shape = [tokens, first.d_model()];
        let (x, y) = (self.gpu.zeros(&shape, Element::F32)?, self.gpu.zeros(&shape, Element::F32)?);
        let hidden = first.hidden(&x)?;
        let bind = |layer: &FeedForward| layer.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y });
        let plans = self.layers.iter().map(bind).collect::<std::result::Result<_, _>>()?;
        self.bound.insert(tokens, Bound { x, y, plans });
        Ok(())
    }

    /// One layer of every row of x.
    pub fn run(&mut self, layer: usize, x: &[f32]) -> Result<Vec<f32>> {
        let width = self.layers.get(layer).map_or(1, FeedForward::d_model);
        let tokens = x.len() / width;
        self.prepare(tokens)?;
        let Some((bound, plan)) = self.bound.get(&tokens).and_then(|bound| Some((bound, bound.plans.get(layer)?))) else {
            return fail(format!("no feed-forward layer {layer}"));
        };
        let started = Instant::now();
        self.gpu.queue().write_buffer(bound.x.buffer(), 0, bytemuck::cast_slice(x));
        plan.submit(&self.gpu);
        let y = self.gpu.read_back(&bound.y)?;
        self.time += started.elapsed();
        if let Some(calls) = &mut self.calls {
            calls.push(Call { layer, x: x.to_vec(), y: y.clone() });
        }
        Ok(y)
    }

    /// Time spent in the layers so far, with the way there and back.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Bytes of their weights on the GPU.
    pub fn bytes(&self) -> u64 {
        let bytes = |matrix| match matrix {
            Matrix::Plain(tensor) => tensor.bytes(),
            Matrix::Quantised(quantised) | Matrix::Ordered(quantised) => quantised.bytes(),
        };
        self.layers.iter().flat_map(|layer| layer.layer().weights()).map(bytes).sum()
    }

    /// From now on remembers every call.
    pub fn remember(&mut self) {
        self.calls = Some(Vec::new());
    }

    /// What was remembered; it ends with this.
    pub fn recall(&mut self) -> Vec<Call> {
        self.calls.take().unwrap_or_default()
    }
}
