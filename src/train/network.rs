//! A network: feed-forward blocks one after the other, between what its task puts before and behind them.

use super::init::Init;
use super::options::TrainerOptions;
use super::parameter::Parameter;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Tensor, Weight};
use crate::nn::{FeedForward, Layer};
use crate::ops::{Counter, Dropout};
use crate::shader::function::Function;

/// Sizes and function of a network's blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkSpec {
    /// Activation or gate; its learnable parameters are learned, one set for each block.
    pub function: Function,
    /// Blocks.
    pub blocks: usize,
    /// Features between blocks.
    pub d_model: usize,
    /// Hidden features of a block.
    pub d_ff: usize,
    /// Whether blocks have biases.
    pub biases: bool,
    /// Whether a block adds its input to its output.
    pub residual: bool,
}

/// A block with its gradients.
#[derive(Debug)]
pub(super) struct Block {
    pub layer: FeedForward,
    pub gradients: Layer,
    pub dparameters: Option<Tensor>,
    /// Its tensors among the network's.
    pub range: std::ops::Range<usize>,
}

/// Everything that is learned: blocks, and matrices by their name and shape before and behind them.
#[derive(Debug)]
pub(super) struct Network {
    pub parameters: Vec<Parameter>,
    pub blocks: Vec<Block>,
}

impl Network {
    pub(super) fn new(
        gpu: &Gpu,
        spec: &NetworkSpec,
        ends: &[(&'static str, [usize; 2])],
        options: &TrainerOptions,
        counter: &Counter,
    ) -> Result<Self, Error> {
        let mut parameters = Vec::new();
        let mut blocks = Vec::new();
        for number in 0..spec.blocks {
            let start = parameters.len();
            let mut maker = Maker { gpu, spec, options, number, start, parameters: &mut parameters };
            let (layer, gradients) = maker.layers()?;
            let learned = maker.learned()?;
            let mut layer = FeedForward::new(gpu, layer).with_hidden(options.hidden);
            if options.dropout > 0.0 {
                let dropout = Dropout { probability: options.dropout, seed: options.seed, stream: stream(Stream::Dropout, number) };
                layer = layer.with_dropout(dropout, counter);
            }
            let (values, dparameters) = learned.unzip();
            if let Some(values) = values {
                layer = layer.with_parameters(values);
            }
            blocks.push(Block { layer, gradients, dparameters, range: start..parameters.len() });
        }
        for (k, (name, shape)) in ends.iter().enumerate() {
            let parameter = Parameter::new(gpu, (*name).into(), shape, options.element, options.optimizer)?;
            // An embedding's rows are what the blocks read; a head reads what they wrote.
            let init = if *name == "embedding" { Init::Normal { deviation: 1.0 } } else { Init::xavier_uniform(shape[1], shape[0]) };
            parameter.init(gpu, init, options.seed, stream(Stream::Ends, k))?;
            parameters.push(parameter);
        }
        Ok(Self { parameters, blocks })
    }

    /// The parameter of this name.
    pub(super) fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Uses of random numbers, so that none share a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Weights,
    Ends,
    Dropout,
    Data,
}

/// The stream of a use's k-th generator.
pub(super) const fn stream(of: Stream, k: usize) -> u32 {
    ((of as u32) << 24) + k as u32
}

/// Makes the tensors of one block.
struct Maker<'a> {
    gpu: &'a Gpu,
    spec: &'a NetworkSpec,
    options: &'a TrainerOptions,
    number: usize,
    /// The block's first tensor among all.
    start: usize,
    parameters: &'a mut Vec<Parameter>,
}

/// More than a block has tensors.
const TENSORS: usize = 16;

impl Maker<'_> {
    /// A parameter of the block: its value and its gradient.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<(Tensor, Tensor), Error> {
        let Self { gpu, options, number, .. } = *self;
        let parameter = Parameter::new(gpu, format!("blocks.{number}.{name}"), shape, options.element, options.optimizer)?;
        let init = if shape.len() > 1 { options.init.of(name, shape, self.spec.blocks) } else { Init::Zeros };
        // Whatever else a block learns, its matrices are drawn alike.
        let place = number * TENSORS + self.parameters.len() - self.start;
        parameter.init(gpu, init, options.seed, stream(Stream::Weights, place))?;
        let tensors = (parameter.value.clone(), parameter.gradient.clone());
        self.parameters.push(parameter);
        Ok(tensors)
    }

    /// Weights and gradients.
    fn layers(&mut self) -> Result<(Layer, Layer), Error> {
        let NetworkSpec { ref function, d_model, d_ff, biases, .. } = *self.spec;
        let (into, out_of) = ([d_ff, d_model], [d_model, d_ff]);
        let optional = |maker: &mut Self, name, len: usize| -> Result<(Option<Tensor>, Option<Tensor>), Error> {
            Ok(biases.then(|| maker.tensor(name, &[len])).transpose()?.unzip())
        };
        match function.clone() {
            Function::Activation(activation) => {
                let ((w1, dw1), (w2, dw2)) = (self.tensor("w1", &into)?, self.tensor("w2", &out_of)?);
                let ((b1, db1), (b2, db2)) = (optional(self, "b1", d_ff)?, optional(self, "b2", d_model)?);
                let layer = |w1, b1, w2, b2| {
                    let (w1, w2) = (Weight::Plain(w1), Weight::Plain(w2));
                    Layer::Dense { activation: activation.clone(), w1, b1, w2, b2 }
                };
                Ok((layer(w1, b1, w2, b2), layer(dw1, db1, dw2, db2)))
            }
            Function::Gate(gate) => {
                let ((w_gate, dw_gate), (w_up, dw_up)) = (self.tensor("w_gate", &into)?, self.tensor("w_up", &into)?);
                let (w_down, dw_down) = self.tensor("w_down", &out_of)?;
                let ((b_gate, db_gate), (b_up, db_up)) = (optional(self, "b_gate", d_ff)?, optional(self, "b_up", d_ff)?);
                let (b_down, db_down) = optional(self, "b_down", d_model)?;
                let (biases, dbiases) = (b_gate.zip(b_up), db_gate.zip(db_up));
                let layer = |matrices: [Tensor; 3], biases, b_down| {
                    let [w_gate, w_up, w_down] = matrices.map(Weight::Plain);
                    Layer::Gated { gate: gate.clone(), w_gate, w_up, biases, w_down, b_down }
                };
                Ok((layer([w_gate, w_up, w_down], biases, b_down), layer([dw_gate, dw_up, dw_down], dbiases, db_down)))
            }
        }
    }

    /// The activation's learnable parameters, at their values, and their gradients.
    fn learned(&mut self) -> Result<Option<(Tensor, Tensor)>, Error> {
        let learnable = self.spec.function.learnable_len();
        if learnable == 0 {
            return Ok(None);
        }
        let Self { gpu, options, number, .. } = *self;
        // Kernels read them in f32.
        let parameter = Parameter::new(gpu, format!("blocks.{number}.parameters"), &[learnable], Element::F32, options.optimizer)?;
        let values: Vec<f32> = self.spec.function.constants().iter().take(learnable).map(|v| *v as f32).collect();
        parameter.set(gpu, bytemuck::cast_slice(&values))?;
        let tensors = (parameter.value.clone(), parameter.gradient.clone());
        self.parameters.push(parameter);
        Ok(Some(tensors))
    }
}

impl NetworkSpec {
    /// Residual blocks without biases.
    pub fn new(function: Function, blocks: usize, d_model: usize, d_ff: usize) -> Self {
        Self { function, blocks, d_model, d_ff, biases: false, residual: true }
    }

    /// Refuses sizes with which there is no network.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.blocks == 0 || self.d_model == 0 || self.d_ff == 0 {
            let expected = "at least one block, and one feature each in and in hidden".into();
            return Err(Error::Shape { operand: "network", expected, actual: vec![self.blocks, self.d_model, self.d_ff] });
        }
        Ok(())
    }

    /// Whether its blocks are gated.
    pub const fn is_gated(&self) -> bool {
        matches!(self.function, Function::Gate(_))
    }
}
