//! A mixture of experts: a router sends each token to a few of many feed-forward layers, all on the device.

mod backward;
mod bound;
mod layer;
mod pass;

pub use backward::MixtureBackward;
pub use bound::BoundMixture;
pub use layer::{MixtureLayer, SharedExpert};

use super::FeedForward;
use super::feed_forward::{both, upload_tensor, upload_weight};
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Gpu, Plan, Tensor, Weight};
use crate::ops::mixture::Choices;
use crate::ops::{Linear, LinearArgs, Weights};
use crate::quantised::Int4;
use crate::shader::function::Function;
use crate::shader::matmul::Loop;
use crate::tuning::{Strategy, Tuning};
use crate::weights::{HostTensor, HostWeight, MixtureWeights};

/// A mixture of experts on a device.
///
/// Tokens are put in the order of their experts by counting, adding up and placing, which gives every token of an expert its
/// place by its number: the same bits on every run. The experts' products then are the products of ordinary layers, with
/// grids that the device computes from the counts; nothing is read back.
#[derive(Debug, Clone)]
pub struct Mixture {
    gpu: Gpu,
    layer: MixtureLayer,
    hidden: Element,
    tuning: Tuning,
    gate: Function,
    identity: Function,
}

impl Mixture {
    /// A mixture with weights that lie on the device. Hidden is kept in f32.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] where tensors do not fit each other; [`Error::Limit`] where a token has no expert or
    /// more than there are; [`Error::Parameter`].
    pub fn new(gpu: &Gpu, layer: MixtureLayer) -> Result<Self, Error> {
        layer.check()?;
        let (gate, identity) = (Function::Gate(layer.gate.clone()), Function::Activation(Activation::Identity));
        Ok(Self { gpu: gpu.clone(), layer, hidden: Element::F32, tuning: Tuning::default(), gate, identity })
    }

    /// Uploads weights as `element`, or as they are stored. The router and its biases are always as they are stored: rounded,
    /// they would choose other experts. What is applied is what the weights' file says, else SwiGLU.
    ///
    /// # Errors
    /// As [`Mixture::new`]; [`Error::UnknownName`]; [`Error::OutOfMemory`]; [`Error::Limit`].
    pub fn upload(gpu: &Gpu, weights: &MixtureWeights, element: Option<Element>) -> Result<Self, Error> {
        let stored = |t: &HostTensor| gpu.tensor_from_bytes(&t.data.bytes, &t.shape, t.element());
        let tensor = |t: &HostTensor| upload_tensor(gpu, t, element);
        let experts = weights.router.shape.first().copied().unwrap_or(0);
        let weight = |w: &HostWeight| match (w, upload_weight(gpu, w, element)?) {
            // Of int4 experts lie one below the other.
            (HostWeight::Int4(Int4 { shape: [rows, cols], .. }), uploaded) => {
                let stacked = [experts, rows / experts.max(1), *cols];
                match uploaded {
                    Weight::Plain(tensor) => tensor.reshape(&stacked).map(Weight::from),
                    Weight::Quantised(quantised) => quantised.reshape(&stacked).map(Weight::from),
                }
            }
            (_, uploaded) => Ok(uploaded),
        };
        let optional = |t: &Option<HostTensor>| t.as_ref().map(tensor).transpose();
        let exact = |t: &Option<HostTensor>| t.as_ref().map(stored).transpose();
        let biases = both(gpu, optional(&weights.b_gate)?, optional(&weights.b_up)?)?;
        let shared = match &weights.shared {
            Some(shared) => {
                let layer = FeedForward::upload(gpu, shared, None, element)?.layer().clone();
                Some(SharedExpert { layer, gate: exact(&weights.shared_gate)? })
            }
            None => None,
        };
        let layer = MixtureLayer {
            routing: weights.routing,
            router: stored(&weights.router)?,
            router_bias: exact(&weights.router_bias)?,
            choice_bias: exact(&weights.choice_bias)?,
            gate: Gate::parse(weights.activation.as_deref().unwrap_or("swiglu"))?,
            w_gate: weight(&weights.w_gate)?,
            w_up: weight(&weights.w_up)?,
            biases,
            w_down: weight(&weights.w_down)?,
            b_down: optional(&weights.b_down)?,
            shared,
        };
        Self::new(gpu, layer)
    }

    /// Keeps hidden in another kind, as [`FeedForward::with_hidden`]; only forward.
    #[must_use]
    pub fn with_hidden(self, hidden: Element) -> Self {
        Self { hidden, ..self }
    }

    /// Runs all products with this loop.
    #[must_use]
    pub fn with_loop(self, looping: Loop) -> Self {
        self.with_tuning(Tuning::Fixed(Strategy::of(looping)))
    }

    /// Chooses the kernels of all products another way.
    #[must_use]
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { tuning, ..self }
    }

    /// The weights.
    pub const fn layer(&self) -> &MixtureLayer {
        &self.layer
    }

    /// How many experts there are.
    pub fn experts(&self) -> usize {
        self.layer.sizes()[0]
    }

    /// Features of x and y.
    pub fn d_model(&self) -> usize {
        self.layer.sizes()[1]
    }

    /// Hidden features of an expert.
    pub fn d_ff(&self) -> usize {
        self.layer.sizes()[2]
    }

    /// Allocates y (of x's kind), binds, and submits once.
    ///
    /// # Errors
    /// As [`Mixture::bind`].
    pub fn run(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.gpu.zeros(x.shape(), x.element())?;
        self.bind(x, &y)?.submit(&self.gpu);
        Ok(y)
    }

    /// x as rows.
    fn rows(&self, name: &'static str, x: &Tensor) -> Result<Tensor, Error> {
        let (tokens, width) = x.rows_cols();
        if x.shape().is_empty() || width != self.d_model() {
            let expected = format!("[.., {}]", self.d_model());
            return Err(Error::Shape { operand: name, expected, actual: x.shape().to_vec() });
        }
        x.view(0, &[tokens, width])
    }

    /// Room for the choices of so many tokens.
    fn choices(&self, tokens: usize) -> Result<Choices, Error> {
        let zeros = |width: usize| self.gpu.zeros(&[tokens, width], Element::F32);
        let top_k = self.layer.routing.top_k;
        Ok(Choices { logits: zeros(self.experts())?, experts: zeros(top_k)?, weights: zeros(top_k)? })
    }

    /// out = a w^T + bias of the router and its like, which are not of halves alone, as cooperative loops need them.
    fn linear(&self, args: LinearArgs<'_>) -> Result<Plan, Error> {
        let tuning = match self.tuning {
            Tuning::Fixed(Strategy { looping: Loop::Cooperative(_), .. }) => Tuning::Shipped,
            other => other,
        };
        Linear::new(&self.gpu, Activation::Identity).with_tuning(tuning).plan(args)
    }

    /// Which experts the rows of x go to.
    fn route(&self, x: &Tensor, choices: &Choices) -> Result<Plan, Error> {
        let MixtureLayer { routing, router, router_bias, choice_bias, .. } = &self.layer;
        let weights = Weights::One { weight: router.into(), bias: router_bias.as_ref() };
        let logits = self.linear(LinearArgs::new(x, weights, &choices.logits))?;
        Ok(logits.then(choices.plan(&self.gpu, routing, choice_bias.as_ref())?))
    }
}
