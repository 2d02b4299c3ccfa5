//! Forward and backward of a SwiGLU layer: as `FeedForward::train` binds it, keeping gate and up or computing them again,
//! beside the same composed of one operation for each formula: products, silu, a multiplication, and their gradients.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use ffwd::accuracy::Random;
use ffwd::gpu::{Selection, describe};
use ffwd::nn::{FeedForwardBackward, FeedForwardTraining, Layer, Workspace};
use ffwd::ops::{Activate, Backward, Forward, GateInput, Gated, GatedForward, Linear, LinearArgs, Weights};
use ffwd::sizing::{LayerSize, Policy};
use ffwd::{Activation, Element, Error, FeedForward, Gate, Gpu, Plan, Tensor};

/// Tokens, d_model, d_ff.
const SIZES: [[usize; 3]; 2] = [[128, 576, 1536], [512, 768, 2048]];

/// A layer with what a step reads and writes.
struct Step {
    gpu: Gpu,
    layer: FeedForward,
    gradients: Layer,
    x: Tensor,
    y: Tensor,
    dy: Tensor,
    dx: Tensor,
}

impl Step {
    fn new(gpu: &Gpu, [tokens, d_model, d_ff]: [usize; 3]) -> Result<Self, Error> {
        let mut random = Random::new(7);
        let mut tensor = |shape: [usize; 2], size: f32| {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.uniform(-size, size)).collect();
            gpu.tensor(&values, &shape, Element::F32)
        };
        let weight = (3.0 / d_model as f32).sqrt();
        let (w_gate, w_up) = (tensor([d_ff, d_model], weight)?, tensor([d_ff, d_model], weight)?);
        let w_down = tensor([d_model, d_ff], weight)?;
        let (x, dy) = (tensor([tokens, d_model], 1.0)?, tensor([tokens, d_model], 1.0)?);
        let gate = Gate::parse("swiglu")?;
        let layer = FeedForward::new(
            gpu,
            Layer::Gated { gate, w_gate: w_gate.into(), w_up: w_up.into(), biases: None, w_down: w_down.into(), b_down: None },
        );
        let zeros = || gpu.zeros(x.shape(), Element::F32);
        Ok(Self { gpu: gpu.clone(), gradients: layer.gradients()?, y: zeros()?, dx: zeros()?, layer, x, dy })
    }

    fn submit(&self, record: impl FnOnce(&mut ffwd::wgpu::CommandEncoder)) -> Result<(), Error> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder);
        self.gpu.queue().submit([encoder.finish()]);
        self.gpu.wait()
    }

    /// One operation a formula; everything that backward reads again is kept.
    fn unfused(&self) -> Result<Plan, Error> {
        let plain = |layer: &Layer| layer.weights().into_iter().map(|weight| weight.plain().cloned()).collect::<Result<Vec<_>, _>>();
        let (weights, gradients) = (plain(self.layer.layer())?, plain(&self.gradients)?);
        let ([w_gate, w_up, w_down], [dw_gate, dw_up, dw_down]) = (&weights[..], &gradients[..]) else { unreachable!("no biases") };
        let hidden = [self.x.shape()[0], self.layer.d_ff()];
        let zeros = || self.gpu.zeros(&hidden, Element::F32);
        let (g, u, s, h) = (zeros()?, zeros()?, zeros()?, zeros()?);
        let (dh, ds, du, dg) = (zeros()?, zeros()?, zeros()?, zeros()?);
        let silu = Activate::new(&self.gpu, Activation::Silu);
        let bilinear = Gated::new(&self.gpu, Gate::parse("bilinear")?);
        let times =
            |gate, up, y| bilinear.forward(GatedForward { input: GateInput::Separate { gate, up }, y, bias: None, parameters: None });
        let product = |a, weight: &Tensor, out, transposed, residual| {
            let args = LinearArgs::new(a, Weights::plain(weight), out);
            Linear::new(&self.gpu, Activation::Identity).plan(LinearArgs { transposed, residual, ..args })
        };
        let forward = |a, w, out| product(a, w, out, [false, false], None);
        let back = |a, w, out, residual| product(a, w, out, [false, true], residual);
        let outer = |a, b, out| product(a, b, out, [true, true], None);
        let steps = [
            forward(&self.x, w_gate, &g)?,
            forward(&self.x, w_up, &u)?,
            silu.forward(Forward { x: &g, y: &s, bias: None, parameters: None })?,
            times(&s, &u, &h)?,
            forward(&h, w_down, &self.y)?,
            outer(&self.dy, &h, dw_down)?,
            back(&self.dy, w_down, &dh, None)?,
            times(&dh, &u, &ds)?,
            times(&dh, &s, &du)?,
            silu.backward(Backward { x: &g, dy: &ds, dx: &dg, bias: None, parameters: None })?,
            outer(&dg, &self.x, dw_gate)?,
            outer(&du, &self.x, dw_up)?,
            back(&dg, w_gate, &self.dx, None)?,
            back(&du, w_up, &self.dx, Some(&self.dx))?,
        ];
        steps.into_iter().reduce(Plan::then).ok_or(Error::Unsupported { function: "a step".into(), what: "operations" })
    }

    /// Everything that a step wrote.
    fn results(&self) -> Result<Vec<Vec<f32>>, Error> {
        let gradients = self.gradients.weights().into_iter().map(|gradient| gradient.plain());
        [Ok(&self.y), Ok(&self.dx)].into_iter().chain(gradients).map(|tensor| self.gpu.read_back(tensor?)).collect()
    }
}

/// The largest difference, of the largest number.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let of = |(a, b): (&Vec<f32>, &Vec<f32>)| {
        let largest = a.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        a.iter().zip(b).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs())) / largest
    };
    a.iter().zip(b).map(of).fold(0.0, f32::max)
}

fn main() -> Result<(), Error> {
    let choice = Selection::default().choose()?;
    println!("{}: {}", describe(&choice.adapter), choice.reason);
    let gpu = Gpu::from_choice(&choice)?;
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for sizes in SIZES {
        let [tokens, d_model, d_ff] = sizes;
        let step = Step::new(&gpu, sizes)?;
        let unfused = step.unfused()?;
        step.submit(|encoder| unfused.record(encoder))?;
        let expected = step.results()?;
        let size = LayerSize::gated(d_model as u64, d_ff as u64).map_err(|error| wrong(error.to_string()))?;
        let flops = tokens as u64 * (size.forward_flops() + size.backward_flops(Policy::Keep));
        let mut group = criterion.benchmark_group(format!("swiglu forward and backward {tokens}x{d_model}x{d_ff}"));
        group.throughput(Throughput::Elements(flops));
        group.bench_function("unfused", |bencher| bencher.iter(|| step.submit(|encoder| unfused.record(encoder))));
        for policy in Policy::ALL {
            let workspace = Workspace::new(&[&step.layer], tokens, policy, Element::F32)?;
            let backward = FeedForwardBackward { dx: Some(&step.dx), ..FeedForwardBackward::new(&step.x, &step.dy, &step.gradients) };
            let mut bound = step.layer.train(FeedForwardTraining { y: &step.y, backward, policy, workspace: &workspace })?;
            step.submit(|encoder| bound.forward(encoder).backward(encoder))?;
            let error = difference(&expected, &step.results()?);
            // Sums in another order, nothing else.
            if error.is_nan() || error > 1e-5 {
                return Err(wrong(format!("{}: differs by {error:.1e} of the largest", policy.name())));
            }
            println!("{}: {} bytes kept, {} of workspace", policy.name(), bound.kept_bytes(), workspace.bytes());
            group.bench_function(policy.name(), |bencher| {
                bencher.iter(|| step.submit(|encoder| bound.forward(encoder).backward(encoder)));
            });
        }
        group.finish();
        gpu.wait()?;
    }
    criterion.final_summary();
    Ok(())
}

fn wrong(reason: String) -> Error {
    Error::Gpu { what: "training bench".into(), reason }
}
