//! What is trained, on what, and how: from options to the library's terms.

use std::path::PathBuf;

use ffwd::Element;
use ffwd::shader::function::Function;
use ffwd::sizing::{Equal, LayerSize, Policy};
use ffwd::train::{Decay, LossScaling, NetworkSpec, Optimizer, Regression, Schedule, Scheme, Task, Text, TrainerOptions};

use crate::choice::one_of;
use crate::error::{CliError, message};

/// Cicero, De finibus bonorum et malorum, book I (45 BC): in the public domain. 49 kB of Latin, as the crate lipsum (MIT)
/// carries it.
const CICERO: &str = include_str!("cicero.txt");

/// Options that say what is done; a checkpoint keeps them.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "setup", multiple = true, conflicts_with = "resume")]
pub struct Setup {
    /// Activations and gates to compare, by any of their names
    #[arg(value_name = "NAME", default_values = ["relu", "leaky_relu", "gelu", "swish", "rational", "geglu", "swiglu"])]
    pub names: Vec<String>,
    /// What to learn: the next character of a text, or a function of random vectors
    #[arg(long, default_value = "text", value_parser = ["text", "regression"])]
    pub task: String,
    /// Text to learn from, in UTF-8; by default one that is built in (Cicero, De finibus, book I)
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Characters from which the next one is predicted
    #[arg(long, value_name = "N", default_value_t = 16)]
    context: usize,
    /// Examples in a step; a regression has 8 times as many, the same in every step
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// Features between blocks; for text a multiple of the context
    #[arg(long, value_name = "N", default_value_t = 128)]
    d_model: usize,
    /// Hidden features of ungated blocks; 4 times d_model by default. Gated ones get as many as make equal parameters
    #[arg(long, value_name = "N")]
    d_ff: Option<usize>,
    /// Round the hidden features of gated blocks up to a multiple of this
    #[arg(long, value_name = "N", default_value_t = 4)]
    multiple_of: u64,
    /// Blocks
    #[arg(long, value_name = "N", default_value_t = 2)]
    blocks: usize,
    /// Do not add a block's input to its output, so that the only way through the network is through the activations
    #[arg(long)]
    plain: bool,
    /// Give blocks biases
    #[arg(long)]
    biases: bool,
    /// Initial weights of the blocks
    #[arg(long, value_parser = one_of(Scheme::ALL, Scheme::name), default_value = "megatron")]
    init: Scheme,
    /// Probability with which a hidden unit is dropped in a step
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    dropout: f64,
    /// Optimizer
    #[arg(long, default_value = "adamw", value_parser = ["adamw", "sgd"])]
    optimizer: String,
    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 2e-3)]
    rate: f64,
    /// Momentum of sgd
    #[arg(long, value_name = "M", default_value_t = 0.9)]
    momentum: f64,
    /// Weight decay of matrices
    #[arg(long, value_name = "D", default_value_t = 0.01)]
    weight_decay: f64,
    /// Steps in which the learning rate rises; a twentieth of all by default
    #[arg(long, value_name = "N")]
    warm_up: Option<u32>,
    /// How the learning rate falls: not, or by a cosine to a tenth
    #[arg(long, default_value = "cosine", value_parser = ["constant", "cosine"])]
    schedule: String,
    /// Largest norm of the gradients that is not scaled down; 0 for any
    #[arg(long, value_name = "NORM", default_value_t = 1.0)]
    clip: f64,
    /// Kind of weights, gradients and what passes between blocks; master weights are f32
    #[arg(long, value_parser = one_of(Element::ALL, Element::name), default_value = "f32")]
    element: Element,
    /// Kind of what lies inside a block; by default f32, and bf16 where --element is not f32
    #[arg(long, value_parser = one_of(Element::ALL, Element::name))]
    hidden: Option<Element>,
    /// What the loss is multiplied by: dynamic, none, or a number; by default dynamic for f16, else none
    #[arg(long, value_name = "SCALE", value_parser = scaling)]
    loss_scale: Option<LossScaling>,
    /// What a block keeps from forward to backward
    #[arg(long, value_parser = one_of(Policy::ALL, Policy::name), default_value = "keep")]
    policy: Policy,
    /// Where every random number comes from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Steps between evaluations; a tenth of all by default
    #[arg(long, value_name = "N")]
    evaluate_every: Option<u32>,
}

fn scaling(text: &str) -> Result<LossScaling, String> {
    match text {
        "dynamic" => Ok(LossScaling::DYNAMIC),
        "none" => Ok(LossScaling::NONE),
        number => number.parse().map(LossScaling::Fixed).map_err(|_| "dynamic, none or a number is needed".into()),
    }
}

impl Setup {
    /// The networks, of as nearly equal parameters as their sizes allow.
    pub fn networks(&self) -> Result<Vec<NetworkSpec>, CliError> {
        let sizes = [("batch", self.batch, 1 << 20), ("context", self.context, 1 << 12), ("d_model", self.d_model, 1 << 16)];
        for (name, size, most) in sizes.into_iter().chain([("blocks", self.blocks, 1 << 10)]) {
            if size == 0 || size > most {
                return message(format!("`{name}` is {size}; it must be in 1 ..= {most}"));
            }
        }
        let d_ff = self.d_ff.unwrap_or(self.d_model.saturating_mul(4));
        let dense = LayerSize::dense(self.d_model as u64, d_ff as u64)?.with_biases(self.biases);
        let gated = dense.gated_equivalent(Equal::Parameters, self.biases, 1.0, self.multiple_of)?;
        let network = |name: &String| {
            let function = Function::parse(name)?;
            let d_ff = if matches!(function, Function::Gate(_)) { gated.d_ff() as usize } else { d_ff };
            Ok(NetworkSpec { biases: self.biases, residual: !self.plain, ..NetworkSpec::new(function, self.blocks, self.d_model, d_ff) })
        };
        self.names.iter().map(network).collect()
    }

    /// How they are trained for so many steps.
    pub fn options(&self, steps: u32) -> TrainerOptions {
        let weight_decay = self.weight_decay;
        let optimizer = match self.optimizer.as_str() {
            "sgd" => Optimizer::Sgd { momentum: self.momentum, weight_decay },
            _ => Optimizer::adamw(weight_decay),
        };
        let decay = match self.schedule.as_str() {
            "cosine" => Decay::Cosine { minimum: self.rate / 10.0, total: steps },
            _ => Decay::None,
        };
        let (plain, half) = (self.element == Element::F32, self.element == Element::F16);
        TrainerOptions {
            optimizer,
            schedule: Schedule { rate: self.rate, warm_up: self.warm_up.unwrap_or(steps / 20), decay },
            scaling: self.loss_scale.unwrap_or(if half { LossScaling::DYNAMIC } else { LossScaling::NONE }),
            clip: (self.clip != 0.0).then_some(self.clip),
            element: self.element,
            hidden: self.hidden.unwrap_or(if plain { Element::F32 } else { Element::Bf16 }),
            policy: self.policy,
            dropout: self.dropout,
            seed: self.seed,
            init: self.init,
        }
    }

    /// Steps between evaluations.
    pub fn evaluate_every(&self, steps: u32) -> u32 {
        self.evaluate_every.unwrap_or(steps / 10).max(1)
    }

    /// What is learned, in words, too; and a sum of its data.
    pub fn task(&self) -> Result<(Task, String, u64), CliError> {
        if self.task == "regression" {
            let rows = 8 * self.batch;
            if rows * self.d_model > 1 << 26 {
                return message(format!(
                    "8 * `batch` * `d_model` is {}; at most 2^26 numbers are made for a regression",
                    rows * self.d_model
                ));
            }
            return Ok((Task::Regression(regression(rows, self.d_model, self.seed)), format!("regression, {rows} examples"), self.seed));
        }
        let read = |path: &PathBuf| match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(error) => message(format!("cannot read {}: {error}", path.display())),
        };
        let text = self.text.as_ref().map_or_else(|| Ok(CICERO.to_owned()), read)?;
        let name = self.text.as_ref().map_or_else(|| "Cicero, De finibus I".into(), |path| path.display().to_string());
        // All of the validation part, about once, if that is not more than 32 batches.
        let validation = (text.chars().count() / 10 / (self.batch.max(1))).clamp(1, 32);
        let task = Text::new(&text, self.context, self.batch, validation)?;
        let title = format!("next character of {name}, {} classes, context {}, batch {}", task.classes(), self.context, self.batch);
        Ok((Task::Text(task), title, fnv(text.as_bytes())))
    }
}

/// Features that a regression's targets depend on; the others have no say.
const FEATURES: usize = 8;

/// Vectors of normal numbers, and for each as many products of a sine and a linear function of its first features, whose
/// directions are random too.
fn regression(rows: usize, d_model: usize, seed: u64) -> Regression {
    let mut random = ffwd::accuracy::Random::new(seed);
    let mut normal = move || (0..12).map(|_| f64::from(random.uniform(-0.5, 0.5))).sum::<f64>();
    let features = d_model.min(FEATURES);
    let mut vectors = |count: usize, width: usize, scale: f64| (0..count * width).map(|_| scale * normal()).collect::<Vec<f64>>();
    let scale = 1.0 / (features as f64).sqrt();
    let (a, b) = (vectors(d_model, features, scale), vectors(d_model, features, scale));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let mut part = || {
        let x = vectors(rows, d_model, 1.0);
        let outputs = |x: &[f64]| {
            let each = a.chunks_exact(features).zip(b.chunks_exact(features));
            each.map(|(a, b)| ((2.0 * dot(x, a)).sin() * dot(x, b)) as f32).collect::<Vec<f32>>()
        };
        let target = x.chunks_exact(d_model).flat_map(outputs).collect();
        (x.iter().map(|v| *v as f32).collect(), target)
    };
    let ((x, target), validation) = (part(), part());
    Regression { x, target, validation }
}

/// A sum of bytes that tells texts apart (Fowler, Noll and Vo's FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
