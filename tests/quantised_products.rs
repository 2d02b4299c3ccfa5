//! Products with quantised weights against the oracle on the numbers that they stand for, by the bound of plain f32 sums.

mod support;

use ffwd::accuracy::Sample;
use ffwd::gpu::Matrix as Operand;
use ffwd::ops::{Linear, LinearArgs, Weights};
use ffwd::quantised::{Block, Packing, WeightKind};
use ffwd::shader::matmul::{Loop, Tile, Total};
use ffwd::tuning::{Problem, Strategy, Tuning, shipped};
use ffwd::{Activation, Element, Error, Gate, Gpu, oracle};
use support::product::small;
use support::quantised::{Matrix, packings, random};
use support::{Guarded, devices, gpu, half_unit, judge, numbers, sum_bound};

const F32: Element = Element::F32;

/// Loops that take blocks, that share rows, and that do neither.
fn loops(gpu: &Gpu, gated: bool) -> Vec<Loop> {
    let all = Loop::available(&gpu.capabilities(), gated);
    all.into_iter().filter(|looping| !matches!(looping, Loop::Cooperative(_))).collect()
}

fn few_loops(gpu: &Gpu, gated: bool) -> Vec<Loop> {
    let some = [Loop::Direct(4), Loop::Tiled(Tile::SMALL), Loop::Broadcast(1), Loop::Broadcast(16), Loop::Dot(2, Total::Tree)];
    some.into_iter().filter(|looping| loops(gpu, gated).contains(looping)).collect()
}

/// Multiplied by the identity, weights come out as they are: exactly, whatever the loop.
#[test]
fn the_identity_reads_out_the_weights() {
    let (depth, cols) = (256, 5);
    let identity: Vec<f32> = (0..depth * depth).map(|i| if i % (depth + 1) == 0 { 1.0 } else { 0.0 }).collect();
    for device in devices() {
        let a = device.gpu.tensor(&identity, &[depth, depth], F32).unwrap();
        for (number, packing) in packings().into_iter().enumerate() {
            let matrix = random(packing, [cols, depth], 3);
            let (weight, expected) = (matrix.upload(&device.gpu, [cols, depth]), matrix.numbers());
            // Compiling is most of the work.
            let loops =
                few_loops(&device.gpu, false).into_iter().cycle().skip(number).take(if device.gpu.capabilities().wide { 2 } else { 1 });
            for looping in loops {
                let out = device.gpu.zeros(&[depth, cols], F32).unwrap();
                let linear = Linear::new(&device.gpu, Activation::Identity).with_loop(looping).unwrap();
                linear.plan(LinearArgs::new(&a, Weights::plain(&weight), &out)).unwrap().submit(&device.gpu);
                let actual = device.gpu.read_back(&out).unwrap();
                let wrong = (0..depth * cols).find(|i| actual[*i] != expected[i % cols * depth + i / cols]);
                if let Some(i) = wrong {
                    panic!(
                        "{packing}, {looping} on {}: #{i} is {:e}, not {:e}",
                        device.name,
                        actual[i],
                        expected[i % cols * depth + i / cols]
                    );
                }
            }
        }
    }
}

/// out = relu(a w^T + bias) or gate(a g^T + bias, a u^T + bias), with everything the truth needs.
struct Case {
    sizes: [usize; 3],
    a: Element,
    out: Element,
    offset: usize,
    weights: Vec<Matrix>,
}

impl Case {
    fn new(sizes: [usize; 3], packings: &[Packing]) -> Self {
        let [_, cols, depth] = sizes;
        let weights = packings.iter().zip(11..).map(|(packing, seed)| random(*packing, [cols, depth], seed)).collect();
        Self { sizes, a: F32, out: F32, offset: 0, weights }
    }

    fn check(&self, gpu: &Gpu, tuning: Tuning) -> Result<Vec<String>, String> {
        let [rows, cols, depth] = self.sizes;
        let a = numbers(self.a, rows * depth, 5);
        let held = Guarded::holding(gpu, &a, &[rows, depth], self.a, self.offset);
        let out = Guarded::output(gpu, &[rows, cols], self.out, self.offset);
        let weights: Vec<_> = self.weights.iter().map(|matrix| matrix.upload(gpu, [cols, depth])).collect();
        let bias = gpu.tensor(&numbers(F32, cols, 6), &[cols], F32).unwrap();
        let swiglu = Gate::parse("swiglu").unwrap();
        let (linear, operands) = match &weights[..] {
            [weight] => (Linear::new(gpu, Activation::Relu), Weights::One { weight: weight.into(), bias: Some(&bias) }),
            [gate, up, ..] => {
                let weights = Weights::GateUp { gate: gate.into(), up: up.into(), bias: Some((&bias, &bias)) };
                (Linear::gated(gpu, swiglu.clone()), weights)
            }
            [] => unreachable!("there are weights"),
        };
        let plan = linear.with_tuning(tuning).plan(LinearArgs::new(&held.tensor, operands, &out.tensor));
        let plan = plan.map_err(|error| format!("{error}"))?;
        plan.submit(gpu);
        let actual = out.check(gpu)?;
        let (bias, weights): (_, Vec<_>) = (numbers(F32, cols, 6), self.weights.iter().map(Matrix::numbers).collect());
        let sum = |row: usize, col: usize, weights: &[f32]| {
            let products = (0..depth).map(|k| f64::from(a[row * depth + k]) * f64::from(weights[col * depth + k]));
            let bias = f64::from(bias[col]);
            products.fold((bias, bias.abs()), |(sum, terms), product| (sum + product, terms + product.abs()))
        };
        let samples: Vec<_> = (0..rows * cols)
            .map(|i| {
                let (gate, terms) = sum(i / cols, i % cols, &weights[0]);
                let (truth, terms) = match weights.get(1) {
                    None => (gate.max(0.0), terms),
                    Some(up) => {
                        let (up, up_terms) = sum(i / cols, i % cols, up);
                        (oracle::gate_value(&swiglu, gate, up), 1.13 * terms * up_terms)
                    }
                };
                let rounding = if self.out == F32 { 0.0 } else { half_unit(self.out, truth) };
                Sample { actual: actual[i], truth, forgiven: sum_bound(2 * depth + 4, 4.5, terms) + rounding }
            })
            .collect();
        judge(self.out, 0.0, &samples, |i| (i / cols, i % cols))?;
        Ok(plan.kernels().map(str::to_owned).collect())
    }
}

#[test]
fn every_loop_multiplies_every_packing() {
    let mut faults = Vec::new();
    for device in devices() {
        // Every loop with one packing, a few of them with others: compiling is most of the work.
        for packing in [Block::Q4_0, Block::Q6_K].map(Packing::Block) {
            for weights in [vec![packing], vec![packing, packing]] {
                let loops = if packing == Packing::Block(Block::Q4_0) { loops } else { few_loops };
                let loops = loops(&device.gpu, weights.len() == 2).into_iter();
                for looping in loops.take(if device.gpu.capabilities().wide { usize::MAX } else { 2 }) {
                    for sizes in [[1, 37, 512], [5, 36, 256]] {
                        let fault = Case::new(sizes, &weights).check(&device.gpu, Tuning::Fixed(Strategy::of(looping)));
                        faults.extend(fault.err().map(|fault| format!("{looping}, {weights:?} on {}: {fault}", device.name)));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn sizes_kinds_and_places() {
    let mut faults = Vec::new();
    let gpu = gpu();
    for block in [Block::Q4_0, Block::Q5_1] {
        for rows in [0, 1, 2, 4, 9, 33] {
            for (cols, depth) in [(1, 256), (65, 2304)] {
                let sizes = [rows, cols, depth];
                for (a, out, offset) in [(F32, F32, 0), (F32, F32, 3), (Element::F16, Element::Bf16, 4), (Element::Bf16, Element::F16, 1)] {
                    let case = Case { a, out, offset, ..Case::new(sizes, &[Packing::Block(block)]) };
                    let fault = case.check(gpu, Tuning::Shipped).err();
                    faults.extend(fault.map(|fault| format!("{block:?} {sizes:?} {a} {out} +{offset}: {fault}")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Gate and up of two kinds are two kernels, and a depth in slices is one more.
#[test]
fn gate_and_up_of_two_kinds() {
    let [gate, up] = [Block::Q4_K, Block::Q6_K].map(Packing::Block);
    for out in [F32, Element::F16] {
        let case = Case { out, ..Case::new([3, 40, 512], &[gate, up]) };
        assert_eq!(case.check(gpu(), Tuning::Shipped).unwrap().len(), 2);
    }
    let split = Strategy { slices: 3, ..Strategy::of(Loop::Dot(1, Total::Tree)) };
    let case = Case::new([2, 40, 2816], &[Packing::Block(Block::Q5_0)]);
    assert_eq!(case.check(gpu(), Tuning::Fixed(split)).unwrap().len(), 2);
    let tiled = Strategy { slices: 4, ..Strategy::of(Loop::Tiled(Tile::SMALL)) };
    assert_eq!(case.check(gpu(), Tuning::Fixed(tiled)).unwrap().len(), 2);
}

/// Columns that are not in the order of the inputs (GPTQ's act-order): x is brought into theirs, once where gate and up share
/// it, and the truth knows of no order.
#[test]
fn columns_in_an_order_of_their_own() {
    let reversed = |multiplier: u32| Some((0..256).map(|i| (i * multiplier + 5) % 256).collect::<Vec<u32>>());
    let ordered = |case: Case, multipliers: &[u32]| {
        let orders = case.weights.into_iter().zip(multipliers).map(|(matrix, multiplier)| match matrix {
            Matrix::Int4(int4) => Matrix::Int4(ffwd::quantised::Int4 { order: reversed(*multiplier), ..int4 }),
            blocks => blocks,
        });
        Case { weights: orders.collect(), ..case }
    };
    let int4 = Packing::Int4 { group: 64 };
    for (packings, multipliers, kernels) in [
        (vec![int4], vec![3], 2),
        (vec![int4, int4], vec![3, 3], 2),
        (vec![int4, int4], vec![3, 5], 4),
        (vec![int4, Packing::Block(Block::Q8_0)], vec![3, 0], 3),
    ] {
        for (a, offset) in [(F32, 0), (Element::F16, 3)] {
            let case = ordered(Case { a, offset, ..Case::new([5, 24, 256], &packings) }, &multipliers);
            for device in devices() {
                assert_eq!(case.check(&device.gpu, Tuning::Shipped).unwrap().len(), kernels, "{multipliers:?}");
            }
            // More rows than a binding holds.
            let many = ordered(Case { a, offset, ..Case::new([40, 24, 256], &packings) }, &multipliers);
            many.check(&small(1 << 14, 65535), Tuning::Shipped).unwrap();
        }
    }
}

/// Rows that no binding holds at once are several dispatches.
#[test]
fn weights_beyond_a_binding_are_windows() {
    let gpu = small(1 << 14, 65535);
    for packing in packings() {
        let kernels = Case::new([3, 150, 512], &[packing]).check(&gpu, Tuning::Shipped).unwrap();
        assert!(kernels.len() > 1, "{packing}: {kernels:?}");
    }
}

/// Scales at the ends of their range: zeros give zeros, what is not finite is seen, the smallest count.
#[test]
fn extreme_scales() {
    let product = |d: u16, x: f32, code: u8| {
        let block: Vec<u8> = d.to_le_bytes().into_iter().chain([code | code << 4; 16]).collect();
        let weight = gpu().quantised_blocks(&block.repeat(2), &[2, 32], Block::Q4_0).unwrap();
        let mut results = Vec::new();
        for looping in few_loops(gpu(), false) {
            let (a, out) = (gpu().tensor(&[x; 32], &[1, 32], F32).unwrap(), gpu().zeros(&[1, 2], F32).unwrap());
            let linear = Linear::new(gpu(), Activation::Identity).with_loop(looping).unwrap();
            linear.plan(LinearArgs::new(&a, Weights::plain(&weight), &out)).unwrap().submit(gpu());
            results.extend(gpu().read_back(&out).unwrap());
        }
        results
    };
    assert!(product(0, 1e30, 15).iter().all(|y| *y == 0.0));
    // The smallest half is 2^-24, the largest 65504.
    assert!(product(1, 1.0, 9).iter().all(|y| *y == 32.0 * 2f32.powi(-24)));
    assert!(product(0x7bff, 1.0, 7).iter().all(|y| *y == -32.0 * 65504.0));
    assert!(product(0x7c00, 1.0, 9).iter().all(|y| !y.is_finite()));
    assert!(product(0x7e00, 1.0, 9).iter().all(|y| y.is_nan()));
    assert!(product(0x3c00, f32::NAN, 9).iter().all(|y| y.is_nan()));
    assert!(product(0x3c00, f32::INFINITY, 9).iter().all(|y| *y == f32::INFINITY));
}

#[test]
fn what_does_not_fit_is_refused() {
    let gpu = gpu();
    let refused = gpu.quantised_blocks(&[0; 34], &[1, 33], Block::Q8_0).unwrap_err().to_string();
    assert!(refused.contains("34 bytes") && refused.contains("[1, 33]"), "{refused}");
    assert!(gpu.quantised_blocks(&[0; 35], &[1, 32], Block::Q8_0).is_err());
    assert!(gpu.quantised_blocks(&[], &[], Block::Q8_0).is_err());
    let Matrix::Int4(mut int4) = random(Packing::Int4 { group: 32 }, [2, 64], 1) else { unreachable!("it is int4") };
    int4.zeros[1] = 17;
    assert!(matches!(gpu.quantised_int4(&int4), Err(Error::Shape { operand: "int4", .. })));
    let weight = random(Packing::Block(Block::Q8_0), [4, 64], 1).upload(gpu, [4, 64]);
    let [a, out] = [[2, 64], [2, 4]].map(|shape| gpu.zeros(&shape, F32).unwrap());
    let args = LinearArgs { transposed: [false, true], ..LinearArgs::new(&a, Weights::plain(&weight), &out) };
    let linear = Linear::new(gpu, Activation::Identity);
    assert!(linear.plan(args).is_err());
    let wrong = gpu.zeros(&[2, 32], F32).unwrap();
    assert!(matches!(linear.plan(LinearArgs::new(&wrong, Weights::plain(&weight), &out)), Err(Error::Shape { operand: "weight", .. })));
    assert!(Operand::from(&weight).plain().unwrap_err().to_string().contains("q8_0"));
}

/// The tuner compares its candidates bit for bit, on weights that stand for whole numbers.
#[test]
fn candidates_agree() {
    for packing in packings() {
        let problem = Problem { b: WeightKind::Packed(packing), ..Problem::new(1, 20, 256) };
        let strategy = shipped(&gpu().capabilities(), &problem);
        assert!(problem.candidates(&gpu().capabilities()).contains(&strategy), "{strategy} for {problem:?}");
        if [Packing::Block(Block::Q5_K), Packing::Int4 { group: 64 }].contains(&packing) {
            ffwd::ops::measure(gpu(), &problem, &mut |_| {}).unwrap();
        }
    }
}

/// The gguf package's blocks and PyTorch's f64 products with what they stand for.
#[test]
fn golden_products() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/quant.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| F32.decode(file.tensor(name).unwrap().data());
    for block in [Block::Q8_0, Block::Q4_0, Block::Q4_1] {
        let name = block.lower_name();
        let (raw, w) = (file.tensor(&format!("{name}.raw")).unwrap(), numbers(&format!("{name}.dequant")));
        let weight = gpu().quantised_blocks(raw.data(), &[24, 256], block).unwrap();
        for rows in [1, 5] {
            let x = numbers(&format!("x_m{rows}"));
            let expected = file.tensor(&format!("{name}.y_m{rows}")).unwrap();
            let expected: Vec<f64> = expected.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            let a = gpu().tensor(&x, &[rows, 256], F32).unwrap();
            for looping in few_loops(gpu(), false) {
                let out = Guarded::output(gpu(), &[rows, 24], F32, 0);
                let linear = Linear::new(gpu(), Activation::Identity).with_loop(looping).unwrap();
                linear.plan(LinearArgs::new(&a, Weights::plain(&weight), &out.tensor)).unwrap().submit(gpu());
                let actual = out.check(gpu()).unwrap();
                let sample = |(i, truth): (usize, &f64)| {
                    let products = (0..256).map(|k| f64::from(x[i / 24 * 256 + k] * w[i % 24 * 256 + k]).abs());
                    Sample { actual: actual[i], truth: *truth, forgiven: sum_bound(256, 1.0, products.sum()) }
                };
                let samples: Vec<_> = expected.iter().enumerate().map(sample).collect();
                judge(F32, 0.0, &samples, |i| (i / 24, i % 24)).unwrap_or_else(|fault| panic!("{name}, {looping}: {fault}"));
            }
        }
    }
}
