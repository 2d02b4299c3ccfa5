//! The feed-forward layer of a transformer, dense or gated: two dispatches, and hidden makes one trip through memory.

use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::gpu::{Gpu, Matrix, Plan, Tensor, Weight};
use crate::ops::{Counter, Dropout, Linear, LinearArgs, Weights};
use crate::shader::matmul::Loop;
use crate::tuning::{Strategy, Tuning};
use crate::weights::{FeedForwardWeights, HostTensor, HostWeight};

/// Weights of a layer in PyTorch's layout `[out, in]`, with what is applied between them.
///
/// Sizes: `d_model` features in and out (Hugging Face: hidden_size), `d_ff` hidden ones (intermediate_size).
#[derive(Debug, Clone)]
pub enum Layer {
    /// y = activation(x w1^T + b1) w2^T + b2.
    Dense {
        /// The activation.
        activation: Activation,
        /// `[d_ff, d_model]`.
        w1: Weight,
        /// `[d_ff]`.
        b1: Option<Tensor>,
        /// `[d_model, d_ff]`.
        w2: Weight,
        /// `[d_model]`.
        b2: Option<Tensor>,
    },
    /// y = gate(x w_gate^T + b_gate, x w_up^T + b_up) w_down^T + b_down (Shazeer 2020, arXiv:2002.05202).
    Gated {
        /// The gate.
        gate: Gate,
        /// `[d_ff, d_model]`.
        w_gate: Weight,
        /// `[d_ff, d_model]`.
        w_up: Weight,
        /// `[d_ff]` each; one needs the other.
        biases: Option<(Tensor, Tensor)>,
        /// `[d_model, d_ff]`.
        w_down: Weight,
        /// `[d_model]`.
        b_down: Option<Tensor>,
    },
}

impl Layer {
    /// Every weight and bias by its name: the matrices, then the biases.
    pub fn named(&self) -> Vec<(&'static str, Matrix<'_>)> {
        let weight = |weight| Some(Matrix::from(weight));
        fn bias(bias: Option<&Tensor>) -> Option<Matrix<'_>> {
            bias.map(Matrix::from)
        }
        let all = match self {
            Self::Dense { activation: _, w1, b1, w2, b2 } => {
                vec![("w1", weight(w1)), ("w2", weight(w2)), ("b1", bias(b1.as_ref())), ("b2", bias(b2.as_ref()))]
            }
            Self::Gated { gate: _, w_gate, w_up, biases, w_down, b_down } => {
                let (b_gate, b_up) = (biases.as_ref().map(|(gate, _)| gate), biases.as_ref().map(|(_, up)| up));
                let matrices = [("w_gate", weight(w_gate)), ("w_up", weight(w_up)), ("w_down", weight(w_down))];
                matrices.into_iter().chain([("b_gate", bias(b_gate)), ("b_up", bias(b_up)), ("b_down", bias(b_down.as_ref()))]).collect()
            }
        };
        all.into_iter().filter_map(|(name, matrix)| Some((name, matrix?))).collect()
    }

    /// A layer of the same form, each tensor of which is made from this one's weight or bias, in that order.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn map(&self, mut make: impl FnMut(Matrix<'_>) -> Result<Tensor, Error>) -> Result<Self, Error> {
        Ok(match self {
            Self::Dense { activation, w1, b1, w2, b2 } => {
                let (w1, w2) = (make(w1.into())?, make(w2.into())?);
                let mut bias = |bias: &Option<Tensor>| bias.as_ref().map(|bias| make(bias.into())).transpose();
                Self::Dense { activation: activation.clone(), w1: w1.into(), w2: w2.into(), b1: bias(b1)?, b2: bias(b2)? }
            }
            Self::Gated { gate, w_gate, w_up, biases, w_down, b_down } => {
                let [w_gate, w_up, w_down] = [make(w_gate.into())?, make(w_up.into())?, make(w_down.into())?].map(Weight::from);
                let biases = match biases {
                    Some((gate, up)) => Some((make(gate.into())?, make(up.into())?)),
                    None => None,
                };
                let b_down = b_down.as_ref().map(|bias| make(bias.into())).transpose()?;
                Self::Gated { gate: gate.clone(), w_gate, w_up, w_down, biases, b_down }
            }
        })
    }

    /// Every weight and bias, in that order.
    pub fn weights(&self) -> Vec<Matrix<'_>> {
        self.named().into_iter().map(|(_, matrix)| matrix).collect()
    }
}

/// A tensor as `element`, or as it is stored.
pub(super) fn upload_tensor(gpu: &Gpu, t: &HostTensor, element: Option<Element>) -> Result<Tensor, Error> {
    let element = element.unwrap_or(t.element());
    if element == t.element() {
        gpu.tensor_from_bytes(&t.data.bytes, &t.shape, element)
    } else {
        gpu.tensor(&t.to_f32(), &t.shape, element)
    }
}

/// A weight as `element`, or as it is stored: what is quantised, packed.
pub(super) fn upload_weight(gpu: &Gpu, w: &HostWeight, element: Option<Element>) -> Result<Weight, Error> {
    match (w, element) {
        (HostWeight::Plain(t), _) => upload_tensor(gpu, t, element).map(Weight::from),
        (HostWeight::Blocks { shape, block, bytes }, None) => gpu.quantised_blocks(bytes, shape, *block).map(Weight::from),
        (HostWeight::Int4(int4), None) => gpu.quantised_int4(int4).map(Weight::from),
        (quantised, Some(element)) => gpu.tensor(&quantised.to_f32(), quantised.shape(), element).map(Weight::from),
    }
}

/// The biases of gate and of up: beside one that there is, another of zeros.
pub(super) fn both(gpu: &Gpu, gate: Option<Tensor>, up: Option<Tensor>) -> Result<Option<(Tensor, Tensor)>, Error> {
    let zeros = |other: &Tensor| gpu.zeros(other.shape(), other.element());
    Ok(match (gate, up) {
        (Some(gate), Some(up)) => Some((gate, up)),
        (Some(gate), None) => Some((gate.clone(), zeros(&gate)?)),
        (None, Some(up)) => Some((zeros(&up)?, up)),
        (None, None) => None,
    })
}

/// A feed-forward layer on a device.
#[derive(Debug, Clone)]
pub struct FeedForward {
    gpu: Gpu,
    layer: Layer,
    hidden: Element,
    tuning: Tuning,
    parameters: Option<Tensor>,
    dropout: Option<(Dropout, Counter)>,
}

/// Operands of one call.
#[derive(Debug, Clone, Copy)]
pub struct FeedForwardArgs<'a> {
    /// `[.., d_model]`.
    pub x: &'a Tensor,
    /// `[.., d_ff]`, overwritten; [`FeedForward::hidden`] makes one.
    pub hidden: &'a Tensor,
    /// `[.., d_model]`, in any kind.
    pub y: &'a Tensor,
}

impl FeedForward {
    /// A layer with weights that lie on the device. Hidden is kept in f32: the product of a gate is where f16
    /// overflows, and f32 costs one rounding less.
    pub fn new(gpu: &Gpu, layer: Layer) -> Self {
        Self { gpu: gpu.clone(), layer, hidden: Element::F32, tuning: Tuning::default(), parameters: None, dropout: None }
    }

    /// Uploads weights as `element`, or as they are stored. `function` names the activation or gate; where it is absent,
    /// what the weights' file says, else GELU for dense and SwiGLU for gated layers.
    ///
    /// # Errors
    /// [`Error::UnknownName`]; [`Error::OutOfMemory`]; [`Error::Limit`].
    pub fn upload(gpu: &Gpu, weights: &FeedForwardWeights, function: Option<&str>, element: Option<Element>) -> Result<Self, Error> {
        let tensor = |t: &HostTensor| upload_tensor(gpu, t, element);
        let weight = |w: &HostWeight| upload_weight(gpu, w, element);
        let optional = |t: &Option<HostTensor>| t.as_ref().map(tensor).transpose();
        let function = function.or(weights.activation());
        let layer = match weights {
            FeedForwardWeights::Dense { w1, b1, w2, b2, .. } => Layer::Dense {
                activation: Activation::parse(function.unwrap_or("gelu"))?,
                w1: weight(w1)?,
                b1: optional(b1)?,
                w2: weight(w2)?,
                b2: optional(b2)?,
            },
            FeedForwardWeights::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, .. } => {
                let biases = both(gpu, optional(b_gate)?, optional(b_up)?)?;
                let gate = Gate::parse(function.unwrap_or("swiglu"))?;
                Layer::Gated {
                    gate,
                    w_gate: weight(w_gate)?,
                    w_up: weight(w_up)?,
                    biases,
                    w_down: weight(w_down)?,
                    b_down: optional(b_down)?,
                }
            }
        };
        Ok(Self::new(gpu, layer))
    }

    /// Keeps hidden in another kind: half the memory traffic, one more rounding, and in f16 infinity from 65520 on.
    #[must_use]
    pub fn with_hidden(self, hidden: Element) -> Self {
        Self { hidden, ..self }
    }

    /// Runs both products with this loop, each in one piece.
    #[must_use]
    pub fn with_loop(self, looping: Loop) -> Self {
        self.with_tuning(Tuning::Fixed(Strategy::of(looping)))
    }

    /// Chooses the kernels of both products another way.
    #[must_use]
    pub fn with_tuning(self, tuning: Tuning) -> Self {
        Self { tuning, ..self }
    }

    /// Takes the activation's learnable parameters from a tensor: f32, `[parameters]`, or `[parameters, d_ff]` for each
    /// hidden feature its own; see [`Activation::learnable`].
    #[must_use]
    pub fn with_parameters(self, parameters: Tensor) -> Self {
        Self { parameters: Some(parameters), ..self }
    }

    /// Drops elements of hidden in training ([`FeedForward::train`]), never elsewhere.
    #[must_use]
    pub fn with_dropout(self, dropout: Dropout, counter: &Counter) -> Self {
        Self { dropout: Some((dropout, counter.clone())), ..self }
    }

    /// The learnable parameters, if they come from a tensor.
    pub fn parameters(&self) -> Option<&Tensor> {
        self.parameters.as_ref()
    }

    pub(super) fn dropout(&self) -> Option<&(Dropout, Counter)> {
        self.dropout.as_ref()
    }

    /// Kind of hidden.
    pub fn hidden_element(&self) -> Element {
        self.hidden
    }

    /// Whether it has a gate.
    pub fn is_gated(&self) -> bool {
        matches!(self.layer, Layer::Gated { .. })
    }

    /// Tensors that hidden is computed from: one, or gate and up.
    pub(super) fn pre_activations(&self) -> usize {
        1 + usize::from(self.is_gated())
    }

    /// The device.
    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Who chooses the kernels.
    pub(super) fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// The layer's weights.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Features of x and y.
    pub fn d_model(&self) -> usize {
        let (Layer::Dense { w1: first, .. } | Layer::Gated { w_gate: first, .. }) = &self.layer;
        first.shape().get(1).copied().unwrap_or(0)
    }

    /// Hidden features.
    pub fn d_ff(&self) -> usize {
        let (Layer::Dense { w1: first, .. } | Layer::Gated { w_gate: first, .. }) = &self.layer;
        first.shape().first().copied().unwrap_or(0)
    }

    /// A tensor for hidden of the tokens of `x`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Limit`].
    pub fn hidden(&self, x: &Tensor) -> Result<Tensor, Error> {
        let mut shape = x.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.d_ff();
        }
        self.gpu.zeros(&shape, self.hidden)
    }

    /// Both products, ready to be recorded.
    ///
    /// # Errors
    /// Operands whose shapes, kinds, buffers or overlaps do not fit; parameters for which the function is undefined.
    pub fn plan(&self, args: FeedForwardArgs<'_>) -> Result<Plan, Error> {
        self.evaluate(args, false)
    }

    /// Hidden of x, in one operation.
    pub(super) fn first_product(&self, x: &Tensor, hidden: &Tensor) -> Result<Plan, Error> {
        let (first, weights) = match &self.layer {
            Layer::Dense { activation, w1, b1, .. } => {
                (Linear::new(&self.gpu, activation.clone()), Weights::One { weight: w1.into(), bias: b1.as_ref() })
            }
            Layer::Gated { gate, w_gate, w_up, biases, .. } => {
                let bias = biases.as_ref().map(|(gate, up)| (gate, up));
                (Linear::gated(&self.gpu, gate.clone()), Weights::GateUp { gate: w_gate.into(), up: w_up.into(), bias })
            }
        };
        let args = LinearArgs { parameters: self.parameters(), ..LinearArgs::new(x, weights, hidden) };
        first.with_tuning(self.tuning).plan(args)
    }

    /// y of hidden.
    pub(super) fn second_product(&self, hidden: &Tensor, y: &Tensor, residual: Option<&Tensor>) -> Result<Plan, Error> {
        let (Layer::Dense { w2: weight, b2: bias, .. } | Layer::Gated { w_down: weight, b_down: bias, .. }) = &self.layer;
        let args = LinearArgs::new(hidden, Weights::One { weight: weight.into(), bias: bias.as_ref() }, y);
        Linear::new(&self.gpu, Activation::Identity).with_tuning(self.tuning).plan(LinearArgs { residual, ..args })
    }

    /// Allocates y (of x's kind), binds, and submits once.
    ///
    /// # Errors
    /// As [`FeedForward::bind`].
    pub fn run(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.gpu.zeros(x.shape(), x.element())?;
        self.bind(x, &y)?.submit(&self.gpu);
        Ok(y)
    }
}
