//! Tasks: what comes in, what should come out, and the loss.

use std::collections::BTreeSet;

use super::network::{Network, NetworkSpec, Stream, stream};
use super::options::TrainerOptions;
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Gpu, Plan, Tensor};
use crate::ops::steps::{self, CrossEntropy, Starts};
use crate::ops::{Counter, Linear, LinearArgs, Weights};

/// What a network is to learn.
#[derive(Debug, Clone)]
pub enum Task {
    /// The next character of a text.
    Text(Text),
    /// A function of vectors.
    Regression(Regression),
}

/// Next-character prediction: each of `context` characters is embedded in d_model / context features, and these side by side
/// are the input of the blocks; softmax cross-entropy over the characters that the text has. The first nine tenths are
/// trained on, in windows at random places, the rest is for validation, in windows evenly spread over it.
#[derive(Debug, Clone)]
pub struct Text {
    /// Classes of the training part and of the validation part.
    parts: [Vec<f32>; 2],
    classes: usize,
    context: usize,
    batch: usize,
    /// Batches that validation takes.
    validation: usize,
}

/// Mean squared error of the blocks' output for fixed pairs of vectors.
#[derive(Debug, Clone)]
pub struct Regression {
    /// Inputs, `[rows, d_model]`.
    pub x: Vec<f32>,
    /// What should come out for them.
    pub target: Vec<f32>,
    /// The same, for validation.
    pub validation: (Vec<f32>, Vec<f32>),
}

impl Text {
    /// A text as a task, `batch` windows of `context` characters and the next one a step, and `validation` such batches.
    ///
    /// # Errors
    /// [`Error::Shape`] where its parts are shorter than a window, or a number is 0.
    pub fn new(text: &str, context: usize, batch: usize, validation: usize) -> Result<Self, Error> {
        let all: BTreeSet<char> = text.chars().collect();
        let characters: Vec<char> = all.into_iter().collect();
        let classes = text.chars().map(|c| characters.binary_search(&c).unwrap_or(0) as f32);
        let mut train: Vec<f32> = classes.collect();
        let rest = train.split_off(train.len() / 10 * 9);
        let shortest = rest.len().min(train.len());
        let evaluated = batch.checked_mul(validation).filter(|windows| u32::try_from(*windows).is_ok());
        if shortest <= context || evaluated.is_none() || [context, batch, validation].contains(&0) {
            let expected = format!("more than {context} characters in each part; context, batch and validation above 0, and below 2^32");
            return Err(Error::Shape { operand: "text", expected, actual: vec![train.len(), rest.len()] });
        }
        Ok(Self { parts: [train, rest], classes: characters.len(), context, batch, validation })
    }

    /// Distinct characters.
    pub const fn classes(&self) -> usize {
        self.classes
    }
}

impl Task {
    /// Rows of a batch.
    pub(super) fn rows(&self, spec: &NetworkSpec) -> usize {
        match self {
            Self::Text(text) => text.batch,
            Self::Regression(regression) => regression.x.len() / spec.d_model.max(1),
        }
    }

    /// What the mean loss is a mean of.
    pub(super) fn terms(&self, spec: &NetworkSpec) -> usize {
        match self {
            Self::Text(text) => text.batch,
            Self::Regression(_) => self.rows(spec) * spec.d_model,
        }
    }

    /// Batches that an evaluation takes.
    pub(super) const fn evaluations(&self) -> u32 {
        match self {
            Self::Text(text) => text.validation as u32,
            Self::Regression(_) => 1,
        }
    }

    /// Matrices before and behind the blocks.
    pub(super) fn ends(&self, spec: &NetworkSpec) -> Result<Vec<(&'static str, [usize; 2])>, Error> {
        match self {
            Self::Text(text) if !spec.d_model.is_multiple_of(text.context) => {
                let expected = format!("a multiple of the context, {}", text.context);
                Err(Error::Shape { operand: "d_model", expected, actual: vec![spec.d_model] })
            }
            Self::Text(text) => {
                let each = spec.d_model / text.context;
                Ok(vec![("embedding", [text.classes, each]), ("head", [text.classes, spec.d_model])])
            }
            Self::Regression(Regression { x, target, validation }) => {
                let len = x.len();
                let wrong = [("target", target.len()), ("validation", validation.0.len()), ("validation target", validation.1.len())];
                let wrong = wrong.into_iter().find(|(_, other)| *other != len);
                match wrong {
                    _ if len == 0 || !len.is_multiple_of(spec.d_model) => {
                        let expected = format!("rows of {}, at least one", spec.d_model);
                        Err(Error::Shape { operand: "x", expected, actual: vec![len] })
                    }
                    Some((operand, other)) => {
                        Err(Error::Shape { operand, expected: format!("as many numbers as x, {len}"), actual: vec![other] })
                    }
                    None => Ok(Vec::new()),
                }
            }
        }
    }
}

/// A task on a device: the tensors on both sides of the blocks, and what is done with them.
#[derive(Debug)]
pub(super) struct Ends {
    /// Makes the blocks' first input: of training, and of validation.
    pub prepare: [Plan; 2],
    /// From the last output to the loss's sum and the gradient of that output.
    pub loss: [Plan; 2],
    /// From the gradient of the first input on.
    pub last: Plan,
    pub tensors: Vec<Tensor>,
}

/// Where a task meets the blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge<'a> {
    /// First input and its gradient, last output and its gradient, `[rows, d_model]`.
    pub x: &'a Tensor,
    pub dx: &'a Tensor,
    pub y: &'a Tensor,
    pub dy: &'a Tensor,
    pub state: &'a Tensor,
    /// Of training steps, and of validation batches.
    pub counters: [&'a Counter; 2],
    /// Where the sum of the losses goes.
    pub loss: &'a Tensor,
}

impl Ends {
    pub(super) fn new(gpu: &Gpu, task: &Task, network: &Network, options: &TrainerOptions, edge: &Edge<'_>) -> Result<Self, Error> {
        match task {
            Task::Text(text) => text.ends(gpu, network, options, edge),
            Task::Regression(regression) => regression.ends(gpu, edge),
        }
    }
}

impl Text {
    fn ends(&self, gpu: &Gpu, network: &Network, options: &TrainerOptions, edge: &Edge<'_>) -> Result<Ends, Error> {
        let Self { classes, context, batch, .. } = *self;
        let missing = || Error::Unsupported { function: "a network".into(), what: "embedding and head" };
        let (embedding, head) = (network.parameter("embedding").ok_or_else(missing)?, network.parameter("head").ok_or_else(missing)?);
        let zeros = |shape: &[usize], element| gpu.zeros(shape, element);
        let texts = [&self.parts[0], &self.parts[1]].map(|part| gpu.tensor(part, &[part.len()], Element::F32));
        let [train, validation] = texts;
        let (train, validation) = (train?, validation?);
        let windows = zeros(&[batch, context + 1], Element::F32)?;
        let one_hot = zeros(&[batch * context, classes], options.element)?;
        let logits = zeros(&[batch, classes], Element::F32)?;
        let dlogits = zeros(&[batch, classes], options.element)?;
        let losses = zeros(&[batch], Element::F32)?;
        // Evenly spread: every batch goes on where the last one ended.
        let stride = (validation.len() / (batch * self.validation)).max(1) as u32;
        let linear = || Linear::new(gpu, Activation::Identity);
        let characters = |edge: &Tensor| edge.view(0, &[batch * context, embedding.value.shape()[1]]);
        let (x, dx) = (characters(edge.x)?, characters(edge.dx)?);
        let prepare = |text: &Tensor, counter: &Counter, starts| -> Result<Plan, Error> {
            let rows = steps::windows(gpu, text, counter, &windows, starts)?.then(steps::one_hot(gpu, &windows, context, &one_hot)?);
            let args = LinearArgs::new(&one_hot, Weights::plain(&embedding.value), &x);
            Ok(rows.then(linear().plan(LinearArgs { transposed: [false, true], ..args })?))
        };
        let loss = || -> Result<Plan, Error> {
            let entropy =
                CrossEntropy { logits: &logits, windows: &windows, losses: &losses, dlogits: &dlogits, state: edge.state, loss: edge.loss };
            Ok(linear().plan(LinearArgs::new(edge.y, Weights::plain(&head.value), &logits))?.then(entropy.plan(gpu)?))
        };
        let gradient = |dy: &Tensor, x: &Tensor, dw: &Tensor| {
            linear().plan(LinearArgs { transposed: [true, true], ..LinearArgs::new(dy, Weights::plain(x), dw) })
        };
        let through = LinearArgs { transposed: [false, true], ..LinearArgs::new(&dlogits, Weights::plain(&head.value), edge.dy) };
        let back = gradient(&dlogits, edge.y, &head.gradient)?.then(linear().plan(through)?);
        let random = Starts::Random { seed: options.seed, stream: stream(Stream::Data, 0) };
        Ok(Ends {
            prepare: [prepare(&train, edge.counters[0], random)?, prepare(&validation, edge.counters[1], Starts::Every(stride))?],
            loss: [loss()?.then(back), loss()?],
            last: gradient(&one_hot, &dx, &embedding.gradient)?,
            tensors: vec![train, validation, windows, one_hot, logits, dlogits, losses],
        })
    }
}

impl Regression {
    fn ends(&self, gpu: &Gpu, edge: &Edge<'_>) -> Result<Ends, Error> {
        let upload = |values: &[f32]| gpu.tensor(values, edge.x.shape(), Element::F32);
        let inputs = [upload(&self.x)?, upload(&self.validation.0)?];
        let targets = [upload(&self.target)?, upload(&self.validation.1)?];
        let prepare = |x| steps::convert(gpu, x, edge.x);
        let loss = |target| steps::squared_error(gpu, edge.y, target, edge.dy, edge.state, edge.loss);
        Ok(Ends {
            prepare: [prepare(&inputs[0])?, prepare(&inputs[1])?],
            loss: [loss(&targets[0])?, loss(&targets[1])?],
            last: crate::gpu::PlanBuilder::new(gpu).finish()?,
            tensors: inputs.into_iter().chain(targets).collect(),
        })
    }
}
