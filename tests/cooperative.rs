//! Cooperative matrices, on a driver that has them: `scripts/cooperative` sets one up and runs these.

mod support;

use ffwd::ops::{Linear, LinearArgs, Weights};
use ffwd::shader::matmul::{Cooperative, Loop};
use ffwd::tuning::{Problem, Strategy, Tuning};
use ffwd::{Activation, Element, Gate, Gpu, Tensor};
use support::{Guarded, judge, numbers, same_bits, sum_bound};

const F16: Element = Element::F16;

/// Rows, columns and depth below, at and above the edges of matrices, blocks and what is staged.
const SIZES: [[usize; 3]; 9] =
    [[1, 1, 1], [7, 9, 5], [8, 8, 8], [64, 32, 64], [65, 33, 31], [63, 100, 36], [130, 68, 100], [20, 40, 0], [9, 3, 1000]];

/// A device with all that the crate asks for.
fn gpu() -> &'static Gpu {
    static GPU: std::sync::OnceLock<Gpu> = std::sync::OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&Default::default()).unwrap())
}

fn cooperative(gpu: &Gpu, gated: bool) -> Vec<Loop> {
    let loops = Loop::available(&gpu.capabilities(), gated).into_iter().filter(|looping| matches!(looping, Loop::Cooperative(_)));
    let loops: Vec<_> = loops.collect();
    assert!(!loops.is_empty(), "{} has no cooperative matrices", gpu.info().name);
    // The other way of finding a subgroup's number runs on this device, too.
    let guessed = |looping: &Loop| match looping {
        Loop::Cooperative(with) => Loop::Cooperative(Cooperative { builtins: false, ..*with }),
        other => *other,
    };
    loops.iter().copied().chain(loops.iter().map(guessed)).collect()
}

fn tensor(values: &[f32], shape: &[usize], element: Element) -> Tensor {
    gpu().tensor(values, shape, element).unwrap()
}

fn whole(len: usize, seed: u64) -> Vec<f32> {
    numbers(Element::F32, len, seed).iter().map(|v| (v * 1000.0).round() % 4.0).map(|v| if v.is_finite() { v } else { 1.0 }).collect()
}

/// Sums of whole numbers are exact in any order: every loop must agree with the plainest, bit for bit.
#[test]
#[ignore = "needs a driver with cooperative matrices: scripts/cooperative"]
fn whole_numbers_agree_bit_for_bit() {
    for [rows, cols, depth] in SIZES {
        for transposed in [[false, false], [true, true]] {
            let shape = |rows: usize, transposed: bool| if transposed { [depth, rows] } else { [rows, depth] };
            let a = tensor(&whole(rows * depth, 1), &shape(rows, transposed[0]), F16);
            let [b, up] = [2, 3].map(|seed| tensor(&whole(cols * depth, seed), &shape(cols, transposed[1]), F16));
            let bias = tensor(&whole(cols, 4), &[cols], Element::F32);
            let residual = tensor(&whole(rows * cols, 5), &[rows, cols], F16);
            for gated in [false, true] {
                let run = |strategy: Strategy| {
                    let out = Guarded::output(gpu(), &[rows, cols], Element::F32, 0);
                    let (linear, weights) = if gated {
                        (
                            Linear::gated(gpu(), Gate::parse("bilinear").unwrap()),
                            Weights::GateUp { gate: (&b).into(), up: (&up).into(), bias: Some((&bias, &bias)) },
                        )
                    } else {
                        (Linear::new(gpu(), Activation::Relu), Weights::One { weight: (&b).into(), bias: Some(&bias) })
                    };
                    let args = LinearArgs { residual: Some(&residual), transposed, ..LinearArgs::new(&a, weights, &out.tensor) };
                    linear.with_tuning(Tuning::Fixed(strategy)).plan(args).unwrap().submit(gpu());
                    out.read(gpu(), "out")
                };
                let want = run(Strategy::of(Loop::Direct(4)));
                for looping in cooperative(gpu(), gated) {
                    let what = format!("{looping}, {rows} x {cols} x {depth}, gated {gated}, transposed {transposed:?}");
                    same_bits(&run(Strategy::of(looping)), &want).unwrap_or_else(|fault| panic!("{what}: {fault}"));
                    if !gated {
                        let split = Strategy { slices: 3, ..Strategy::of(looping) };
                        same_bits(&run(split), &want).unwrap_or_else(|fault| panic!("{what}, split: {fault}"));
                    }
                }
            }
        }
    }
}

/// Products of f16 are exact in f32, and so sums hold the bound of f32.
#[test]
#[ignore = "needs a driver with cooperative matrices: scripts/cooperative"]
fn sums_are_kept_in_f32() {
    for [rows, cols, depth] in [[33, 40, 300], [64, 64, 2048]] {
        let (a, b) = (support::rounded(F16, &numbers(F16, rows * depth, 1)), support::rounded(F16, &numbers(F16, cols * depth, 2)));
        let (a_in, b_in) = (tensor(&a, &[rows, depth], F16), tensor(&b, &[cols, depth], F16));
        for looping in cooperative(gpu(), false) {
            let out = Guarded::output(gpu(), &[rows, cols], Element::F32, 0);
            let weights = Weights::plain(&b_in);
            let linear = Linear::new(gpu(), Activation::Identity).with_loop(looping).unwrap();
            linear.plan(LinearArgs::new(&a_in, weights, &out.tensor)).unwrap().submit(gpu());
            let sample = |(i, actual): (usize, f32)| {
                let product = |k: usize| f64::from(a[i / cols * depth + k]) * f64::from(b[i % cols * depth + k]);
                let (truth, terms) = (0..depth).fold((0.0, 0.0), |(sum, terms), k| (sum + product(k), terms + product(k).abs()));
                ffwd::accuracy::Sample { actual, truth, forgiven: sum_bound(depth, 1.0, terms) }
            };
            let samples: Vec<_> = out.read(gpu(), "out").into_iter().enumerate().map(sample).collect();
            judge(Element::F32, 0.0, &samples, |i| (i / cols, i % cols)).unwrap_or_else(|fault| panic!("{looping}: {fault}"));
        }
    }
}

/// The tuner takes them among its candidates, compares them, and refuses what is not f16.
#[test]
#[ignore = "needs a driver with cooperative matrices: scripts/cooperative"]
fn they_are_candidates_for_f16_alone() {
    gpu().set_tuning_file(None);
    let problem = Problem { a: F16, b: F16.into(), ..Problem::new(64, 96, 128) };
    let is = |strategy: &Strategy| matches!(strategy.looping, Loop::Cooperative(_));
    assert!(problem.candidates(&gpu().capabilities()).iter().any(is));
    assert!(!Problem { b: Element::F32.into(), ..problem }.candidates(&gpu().capabilities()).iter().any(is));
    ffwd::ops::tune(gpu(), &problem, &mut |_| {}).unwrap();
    let (a, b) = (tensor(&[1.0; 64], &[8, 8], Element::F32), tensor(&[1.0; 64], &[8, 8], F16));
    let out = tensor(&[0.0; 64], &[8, 8], Element::F32);
    let linear = Linear::new(gpu(), Activation::Identity).with_loop(cooperative(gpu(), false)[0]).unwrap();
    let refused = linear.plan(LinearArgs::new(&a, Weights::plain(&b), &out));
    assert!(matches!(refused, Err(ffwd::Error::Unsupported { .. })), "{refused:?}");
}
