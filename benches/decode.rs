//! One token through matrices of every kind that weights are stored in: time, bytes moved, and the ratio to f32.
//!
//! Many matrices one after another in one submission, as a model's layers are, so that no cache holds them. Kinds take
//! turns, since machines drift; what is printed is the median turn.

use ffwd::accuracy::Random;
use ffwd::gpu::{Effort, Selection, Timer, Weight, describe};
use ffwd::ops::{Linear, LinearArgs, Weights};
use ffwd::quantised::{Packing, WeightKind};
use ffwd::{Activation, Element, Error, Gpu, Plan, Tensor};

/// Columns and depth: into hidden and out of it, of SmolLM2 135M and of Llama 3.2 1B.
const SIZES: [[usize; 2]; 4] = [[1536, 576], [576, 1536], [8192, 2048], [2048, 8192]];
/// Bytes of f32 that are more than caches hold.
const WORKING_SET: usize = 64 << 20;
const TURNS: usize = 9;

struct Decode {
    kind: WeightKind,
    plan: Plan,
    matrices: usize,
    turns: Vec<f64>,
}

/// Random codes, or numbers, and scales that are all alike: those of a block do not change what it costs.
fn weight(gpu: &Gpu, kind: WeightKind, [cols, depth]: [usize; 2], seed: u64) -> Result<(Weight, Vec<f32>), Error> {
    let mut random = Random::new(seed);
    match kind {
        WeightKind::Packed(Packing::Block(block)) => {
            let count = cols * depth / block.len() * block.size();
            let mut bytes: Vec<u8> = (0..count).map(|_| random.uniform(0.0, 256.0) as u8).collect();
            bytes.chunks_exact_mut(block.size()).for_each(|bytes| block.set_unit_scales(bytes));
            let mut first = Vec::new();
            block.dequantise(&bytes[..depth / block.len() * block.size()], &mut first);
            Ok((gpu.quantised_blocks(&bytes, &[cols, depth], block)?.into(), first))
        }
        _ => {
            let element = kind.element().unwrap_or(Element::F32);
            let values: Vec<f32> = (0..cols * depth).map(|_| (random.uniform(-1.0, 1.0) * 64.0).round() / 64.0).collect();
            Ok((gpu.tensor(&values, &[cols, depth], element)?.into(), values[..depth].to_vec()))
        }
    }
}

impl Decode {
    fn new(gpu: &Gpu, kind: WeightKind, size: [usize; 2], x: &Tensor, numbers: &[f32]) -> Result<Self, Error> {
        let [cols, depth] = size;
        let matrices = WORKING_SET.div_ceil(cols * depth * 4);
        let (linear, y) = (Linear::new(gpu, Activation::Identity), gpu.zeros(&[1, cols], Element::F32)?);
        let mut plans = Vec::new();
        for i in 0..matrices {
            let (weight, first) = weight(gpu, kind, size, i as u64)?;
            let plan = linear.plan(LinearArgs::new(x, Weights::plain(&weight), &y))?;
            if i == 0 {
                plan.submit(gpu);
                let products = first.iter().zip(numbers).map(|(w, x)| f64::from(*w) * f64::from(*x));
                let (sum, terms) = products.fold((0.0, 0.0), |(sum, terms), product| (sum + product, terms + product.abs()));
                let error = (f64::from(gpu.read_back(&y)?[0]) - sum).abs();
                if error.is_nan() || error > 2.0 * depth as f64 * f64::exp2(-24.0) * terms {
                    return Err(Error::Gpu { what: kind.to_string(), reason: format!("wrong by {error:e}") });
                }
            }
            plans.push(plan);
        }
        let nothing = || Error::Unsupported { function: "a bench".into(), what: "matrices" };
        Ok(Self { kind, plan: plans.into_iter().reduce(Plan::then).ok_or_else(nothing)?, matrices, turns: Vec::new() })
    }

    /// Seconds of one matrix.
    fn median(&mut self) -> f64 {
        self.turns.sort_by(f64::total_cmp);
        self.turns[self.turns.len() / 2] / self.matrices as f64
    }
}

fn main() -> Result<(), Error> {
    let choice = Selection::default().choose()?;
    println!("{}: {}", describe(&choice.adapter), choice.reason);
    let gpu = Gpu::from_choice(&choice)?;
    let mut timer = Timer::new(&gpu)?;
    for size in SIZES {
        let [cols, depth] = size;
        let mut random = Random::new(1);
        let numbers: Vec<f32> = (0..depth).map(|_| random.uniform(-1.0, 1.0)).collect();
        let x = gpu.tensor(&numbers, &[1, depth], Element::F32)?;
        let mut all = Vec::new();
        for kind in WeightKind::ALL {
            // A row of a model's first layer need not be whole blocks of 256.
            if matches!(kind, WeightKind::Packed(packing) if depth % packing.multiple() != 0) {
                println!("{kind}: rows of {depth} are not whole blocks");
                continue;
            }
            all.push(Decode::new(&gpu, kind, size, &x, &numbers)?);
        }
        for _ in 0..TURNS {
            for decode in &mut all {
                let seconds = timer.time(&decode.plan, Effort { fewest: 1, most: 1, seconds: 0.0 })?;
                decode.turns.extend(seconds);
            }
        }
        let f32 = all[0].median();
        println!("\n1 x {cols} x {depth}, {} matrices a submission", all[0].matrices);
        println!("{:8} {:>10} {:>10} {:>8} {:>8}  kernel", "kind", "ms", "MB moved", "GB/s", "f32 / it");
        for decode in &mut all {
            let bytes = decode.kind.bytes(cols, depth) + 4 * (cols + depth) as u64;
            let seconds = decode.median();
            let kernel = decode.plan.kernels().next().unwrap_or_default().split('/').nth(1).unwrap_or_default().to_owned();
            println!(
                "{:8} {:10.4} {:10.3} {:8.2} {:8.2}  {kernel}",
                decode.kind.to_string(),
                1e3 * seconds,
                bytes as f64 / 1e6,
                bytes as f64 / seconds / 1e9,
                f32 / seconds
            );
        }
    }
    Ok(())
}
