//! `ffwd ffn`: one feed-forward layer of a model, or a mixture of them.

use std::io::Write;
use std::path::PathBuf;

use ffwd::nn::{FeedForwardBackward, Mixture};
use ffwd::weights::{FeedForwardWeights, HostTensor, LayerWeights, MixtureWeights, Model, read_safetensors};
use ffwd::{Element, FeedForward, Gpu, Tensor};

use crate::adapter::AdapterArgs;
use crate::choice::one_of;
use crate::error::{CliError, message};
use crate::files::{self, Output};

/// Options of `ffwd ffn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GGUF or safetensors file, or Hugging Face directory
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Layer of the model
    #[arg(long, default_value_t = 0, value_name = "N")]
    layer: usize,
    /// Activation or gate; by default what the model says, else gelu (dense) or swiglu (gated)
    #[arg(long, value_name = "NAME")]
    activation: Option<String>,
    /// Kind in which the weights are kept; by default as they are stored, but for gradients quantised ones become f32
    #[arg(long, value_parser = one_of(Element::ALL, Element::name))]
    element: Option<Element>,
    /// Safetensors file with tensor x, [.., d_model], and for gradients dy, of x's shape
    #[arg(long, value_name = "IN.safetensors")]
    input: PathBuf,
    /// Safetensors file for tensor y, of x's shape and kind
    #[arg(long, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Also write dx, of x's kind, and a gradient for each weight (dw_gate, ...) in f32
    #[arg(long)]
    backward: bool,
}

/// Runs the layer.
pub fn run(args: &Args, adapter: &AdapterArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let output = Output::check(&args.output)?;
    let tensors = read_safetensors(&args.input)?;
    let x = tensors.get("x")?;
    let weights = Model::open(&args.model)?.layer(args.layer)?;
    let width = match &weights {
        LayerWeights::FeedForward(weights) => weights.d_model(),
        LayerWeights::Mixture(weights) => weights.router.shape.last().copied().unwrap_or(0),
    };
    if x.shape.last() != Some(&width) {
        return message(format!("`x` has shape {:?}; [.., {width}] is needed, the model's width", x.shape));
    }
    let dy = args.backward.then(|| tensors.get("dy")).transpose()?;
    let gpu = adapter.open()?;
    let outputs = match weights {
        LayerWeights::FeedForward(weights) => network(args, &gpu, weights, &x, dy.as_ref())?,
        LayerWeights::Mixture(weights) => mixture(args, &gpu, weights, &x)?,
    };
    output.write_tensors(&outputs)?;
    writeln!(out, "{}: {}", output.path().display(), files::summary(&outputs))?;
    Ok(())
}

type Outputs = Vec<(String, HostTensor)>;

/// One network, and its gradients where dy is given.
fn network(args: &Args, gpu: &Gpu, weights: FeedForwardWeights, x: &HostTensor, dy: Option<&HostTensor>) -> Result<Outputs, CliError> {
    let weights = if args.backward { weights.dequantised() } else { weights };
    let layer = FeedForward::upload(gpu, &weights, args.activation.as_deref(), args.element)?;
    let x = files::upload(gpu, x)?;
    let y = layer.run(&x)?;
    let mut outputs = vec![("y".to_owned(), files::download(gpu, &y)?)];
    if let Some(dy) = dy {
        outputs.extend(gradients(gpu, &layer, &weights, &x, &files::upload(gpu, dy)?)?);
    }
    Ok(outputs)
}

/// A mixture of experts; its gradients are the library's alone.
fn mixture(args: &Args, gpu: &Gpu, mut weights: MixtureWeights, x: &HostTensor) -> Result<Outputs, CliError> {
    if args.backward {
        return message(format!("layer {} is a mixture of experts; --backward is for single networks", args.layer));
    }
    weights.activation = args.activation.clone().or(weights.activation);
    let y = Mixture::upload(gpu, &weights, args.element)?.run(&files::upload(gpu, x)?)?;
    Ok(vec![("y".to_owned(), files::download(gpu, &y)?)])
}

/// dx, and the gradients of the weights that the model has.
fn gradients(gpu: &Gpu, layer: &FeedForward, weights: &FeedForwardWeights, x: &Tensor, dy: &Tensor) -> Result<Outputs, CliError> {
    let (dx, gradients) = (gpu.zeros(x.shape(), x.element())?, layer.gradients()?);
    layer.backward(FeedForwardBackward { dx: Some(&dx), ..FeedForwardBackward::new(x, dy, &gradients) })?.submit(gpu);
    let mut outputs = vec![("dx".to_owned(), files::download(gpu, &dx)?)];
    // A bias that the model lacks beside one that it has is zeros on the device.
    let roles: Vec<_> = weights.operands().into_iter().map(|(role, _)| role).collect();
    for (name, gradient) in gradients.named() {
        if roles.contains(&name) {
            outputs.push((format!("d{name}"), files::download(gpu, gradient.plain()?)?));
        }
    }
    Ok(outputs)
}
