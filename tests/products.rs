//! Products against the oracle: layouts, epilogues, split depths, windows, and what is refused.

mod support;

use ffwd::Element::{Bf16, F16, F32};
use ffwd::ops::{Linear, LinearArgs, Weights};
use ffwd::shader::matmul::{Loop, Tile, Total};
use ffwd::tuning::{Problem, Strategy, Tuning, shipped};
use ffwd::{Activation, Error, Gpu, Tensor};
use half::{bf16, f16};
use support::product::{Case, Faults, Residual, Up, four_loops, small, view};
use support::{devices, gpu, same_bits};

const DIRECT: Strategy = Strategy::of(Loop::Direct(4));

fn split(strategy: Strategy, slices: u32) -> Strategy {
    Strategy { slices, ..strategy }
}

fn unfused(strategy: Strategy) -> Strategy {
    Strategy { fused: false, ..strategy }
}

const LAYOUTS: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

/// One loop of each sort with its device; kernels take their time to compile, so each runs on one.
fn loops() -> Vec<(&'static Gpu, Strategy)> {
    let [full, least] = devices();
    let subgroups = four_loops(&full.gpu, true).into_iter().filter(|looping| looping.subgroups()).map(|looping| (&full.gpu, looping));
    let plain = [(&full.gpu, Loop::Dot(2, Total::Tree)), (&least.gpu, Loop::Direct(4)), (&least.gpu, Loop::Tiled(Tile::SMALL))];
    subgroups.chain(plain).map(|(gpu, looping)| (gpu, Strategy::of(looping))).collect()
}

/// Ragged and in whole vectors, each more than a tile in one direction.
#[test]
fn operands_may_be_transposed() {
    let mut faults = Faults::default();
    for (gpu, strategy) in loops() {
        for (transposed, sizes) in [([false, true], [35, 7, 13]), ([true, false], [8, 68, 24]), ([true, true], [35, 7, 13])] {
            faults.check(gpu, &Case { transposed, bias: true, ..Case::dense("relu", sizes) }, strategy);
        }
    }
    let case = Case { transposed: [true, true], ..Case::gated("bilinear", Up::Product, [9, 12, 13]) };
    for looping in [Loop::Direct(4), Loop::Tiled(Tile::SMALL)] {
        faults.check(gpu(), &case, Strategy::of(looping));
    }
    faults.none();
}

#[test]
fn kinds_and_views_mix_in_every_layout() {
    let mut faults = Faults::default();
    let kinds = [([F16, Bf16, F32], F16), ([Bf16, F16, F16], F32), ([F32, F16, Bf16], Bf16), ([F16, F16, F16], F16)];
    for ((kinds, residual), transposed) in kinds.into_iter().zip(LAYOUTS) {
        for sizes in [[3, 5, 7], [5, 8, 12]] {
            for offset in [0, 1, 4] {
                let case = Case { kinds, transposed, offset, residual: Residual::Apart(residual), ..Case::dense("identity", sizes) };
                faults.check(gpu(), &case, DIRECT);
            }
        }
    }
    // Arithmetic that rounds.
    for transposed in [[false, false], [true, true]] {
        let case = Case { transposed, bias: true, residual: Residual::Out, whole: false, ..Case::dense("gelu", [5, 7, 65]) };
        faults.check(gpu(), &case, DIRECT);
        faults.check(gpu(), &case, split(DIRECT, 3));
    }
    faults.none();
}

/// Each value of a 16-bit kind but infinities and NaNs, picked out of its row by a one among zeros: by the loops for one
/// row, which may load eight values at a time and convert them in a way of their own.
#[test]
fn every_weight_is_itself() {
    let one = Problem::new(1, 8192, 8);
    for (kind, decode) in [(F16, (|bits| f16::from_bits(bits).to_f32()) as fn(u16) -> f32), (Bf16, |bits| bf16::from_bits(bits).to_f32())] {
        let values: Vec<f32> = (0..=u16::MAX).map(decode).map(|v| if v.is_finite() { v } else { 1.0 }).collect();
        for device in devices() {
            let gpu = &device.gpu;
            let weight = gpu.tensor(&values, &[8192, 8], kind).unwrap();
            let tuning = Tuning::Fixed(shipped(&gpu.capabilities(), &Problem { b: kind.into(), ..one }));
            let linear = Linear::new(gpu, Activation::Identity).with_tuning(tuning);
            for pick in 0..8 {
                let mut row = [0.0; 8];
                row[pick] = 1.0;
                let (a, out) = (gpu.tensor(&row, &[1, 8], F32).unwrap(), gpu.zeros(&[1, 8192], F32).unwrap());
                linear.plan(LinearArgs::new(&a, Weights::plain(&weight), &out)).unwrap().submit(gpu);
                // Subnormal sums may be flushed; adding zeros loses the sign of a zero.
                let normal = |v: f32| if v.abs() < f32::MIN_POSITIVE { 0.0 } else { v };
                let want: Vec<_> = values.iter().skip(pick).step_by(8).copied().map(normal).collect();
                let got: Vec<_> = gpu.read_back(&out).unwrap().into_iter().map(normal).collect();
                same_bits(&got, &want).unwrap();
            }
        }
    }
}

#[test]
fn residuals_are_added_from_anywhere() {
    let mut faults = Faults::default();
    for (device, kind) in devices().iter().zip([F32, F16]) {
        for residual in [Residual::Apart(kind), Residual::Apart(Bf16), Residual::Out] {
            for (sizes, offset) in [([3, 6, 5], 1), ([5, 8, 8], 4)] {
                let case = Case { kinds: [F32, F32, kind], residual, offset, bias: true, ..Case::dense("relu", sizes) };
                faults.check(&device.gpu, &case, DIRECT);
                let case = Case { function: Case::gated("bilinear", Up::Out, sizes).function, up: Up::Out, ..case };
                faults.check(&device.gpu, &case, DIRECT);
            }
        }
    }
    faults.none();
}

#[test]
fn up_may_lie_in_memory() {
    let mut faults = Faults::default();
    let [full, least] = devices().each_ref().map(|device| &device.gpu);
    let forms = [
        (full, Up::Memory(F32), [F32; 3]),
        (full, Up::Memory(F16), [F32, F32, Bf16]),
        (least, Up::Out, [F32; 3]),
        (least, Up::Out, [F16; 3]),
    ];
    for (gpu, up, kinds) in forms {
        for (sizes, offset) in [([3, 6, 5], 0), ([3, 6, 5], 3), ([5, 8, 64], 0)] {
            let case = Case { kinds, offset, bias: true, ..Case::gated("swiglu", up, sizes) };
            faults.check(gpu, &case, DIRECT);
            faults.check(gpu, &case, split(DIRECT, 3));
        }
    }
    for (gpu, strategy) in loops() {
        faults.check(gpu, &Case::gated("bilinear", Up::Out, [33, 7, 9]), strategy);
    }
    faults.none();
}

#[test]
fn depths_are_split_without_a_rest_left_out() {
    let mut faults = Faults::default();
    for (gpu, strategy) in loops() {
        for (depth, cols) in [(0, 5), (1, 5), (3, 5), (4, 36), (5, 5), (63, 5), (64, 36), (65, 5)] {
            for slices in [2, 3, 4, 16] {
                let case = Case { bias: true, ..Case::dense("relu", [5, cols, depth]) };
                let dispatches = faults.check(gpu, &case, split(strategy, slices)).map(|(dispatches, _)| dispatches);
                assert!(dispatches.is_none_or(|n| n == if depth > 4 { 2 } else { 1 }), "{dispatches:?} of depth {depth}");
            }
        }
    }
    for slices in [2, 3, 16] {
        for cols in [3, 4] {
            let case = Case { residual: Residual::Out, ..Case::dense("identity", [2, cols, 100_000]) };
            faults.check(gpu(), &case, split(DIRECT, slices));
        }
    }
    for transposed in [[false, true], [true, false], [true, true]] {
        let case = Case { transposed, kinds: [F16, F32, Bf16], residual: Residual::Apart(F16), ..Case::dense("relu", [9, 6, 65]) };
        faults.check(gpu(), &case, split(DIRECT, 4));
    }
    faults.none();
}

/// With nothing to compute nothing is dispatched, whatever the strategy.
#[test]
fn products_may_be_empty() {
    let gpu = gpu();
    for sizes in [[0, 5, 600], [5, 0, 600], [0, 0, 600], [0, 5, 0], [0, 8, 3]] {
        for transposed in LAYOUTS {
            let dense = Case { transposed, residual: Residual::Apart(F32), bias: true, ..Case::dense("relu", sizes) };
            let gated = Case { transposed, bias: true, ..Case::gated("swiglu", Up::Product, sizes) };
            for strategy in [DIRECT, split(DIRECT, 2), split(DIRECT, 16)] {
                assert_eq!(dense.check(gpu, strategy), Ok((0, Vec::new())));
                assert_eq!(gated.check(gpu, unfused(strategy)), Ok((0, Vec::new())));
            }
            assert_eq!(gated.check(gpu, DIRECT), Ok((0, Vec::new())));
        }
    }
    // Empty sums leave the epilogue.
    let mut faults = Faults::default();
    for (sizes, transposed) in [([3, 5, 0], [false, false]), ([3, 8, 0], [true, true])] {
        let case = Case { transposed, residual: Residual::Out, bias: true, ..Case::dense("relu", sizes) };
        faults.check(gpu, &case, split(DIRECT, 2));
        let case = Case { transposed, bias: true, ..Case::gated("bilinear", Up::Product, sizes) };
        faults.check(gpu, &case, DIRECT);
        faults.check(gpu, &case, unfused(DIRECT));
    }
    faults.none();
}

#[test]
fn gate_and_up_may_be_two_products() {
    let mut faults = Faults::default();
    let [full, least] = devices().each_ref().map(|device| &device.gpu);
    let ragged = Case { bias: true, residual: Residual::Out, ..Case::gated("swiglu", Up::Product, [5, 7, 65]) };
    let whole = Case { residual: Residual::Apart(F16), ..Case::gated("bilinear", Up::Product, [3, 8, 64]) };
    for (gpu, case) in [(full, &ragged), (full, &whole), (least, &Case { bias: false, ..ragged.clone() })] {
        faults.check(gpu, case, unfused(DIRECT));
        faults.check(gpu, case, unfused(split(DIRECT, 3)));
        faults.check(gpu, case, DIRECT);
    }
    faults.check(full, &Case { transposed: [true, true], ..whole.clone() }, unfused(split(DIRECT, 2)));
    faults.check(least, &whole, unfused(Strategy::of(Loop::Tiled(Tile::SMALL))));
    for out in [F16, Bf16] {
        let refused = Case { kinds: [F32, F32, out], ..ragged.clone() }.refused(full, unfused(DIRECT));
        assert!(matches!(refused, Error::Kind { expected: F32, actual, .. } if actual == out), "{refused:?}");
    }
    faults.none();
}

/// What a strategy asks for that cannot be had.
#[test]
fn strategies_that_cannot_be_had_are_refused() {
    let dense = Case::dense("relu", [3, 8, 64]);
    let gated = Case::gated("swiglu", Up::Product, [3, 8, 64]);
    let least = &devices()[1].gpu;
    for device in devices() {
        let refused = gated.refused(&device.gpu, split(DIRECT, 2));
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused:?}");
        let unknown = Tile { rows: 0, ..Tile::SMALL };
        let tiny = Tile { invocation_rows: 0, ..Tile::SMALL };
        let loops = [Loop::Sum, Loop::Direct(0), Loop::Direct(3), Loop::Broadcast(0), Loop::Dot(0, Total::Tree)];
        for looping in loops.into_iter().chain([unknown, tiny].map(Loop::Tiled)).chain([Loop::Dot(u32::MAX, Total::Tree)]) {
            for case in [&dense, &gated] {
                let refused = case.refused(&device.gpu, Strategy::of(looping));
                assert!(matches!(refused, Error::Unsupported { .. } | Error::Limit { .. }), "{looping:?}: {refused:?}");
            }
        }
        for slices in [Strategy::MOST_SLICES + 1, u32::MAX] {
            let refused = dense.refused(&device.gpu, split(DIRECT, slices));
            assert!(matches!(refused, Error::Limit { allowed: 16, required, .. } if required == u64::from(slices)), "{refused:?}");
        }
        assert_eq!(dense.check(&device.gpu, split(DIRECT, 0)).map(|(dispatches, _)| dispatches), Ok(1));
    }
    let lacking = [Loop::Broadcast(4), Loop::Dot(2, Total::Subgroup(8)), Loop::Dot(1, Total::Subgroup(0)), Loop::Tiled(Tile::LARGE)];
    for looping in lacking.into_iter().filter(|looping| !Loop::available(&least.capabilities(), true).contains(looping)) {
        let refused = gated.refused(least, Strategy::of(looping));
        assert!(matches!(refused, Error::Limit { .. } | Error::Unsupported { .. }), "{looping}: {refused:?}");
        assert!(
            matches!(Linear::new(least, Activation::Relu).with_loop(looping), Err(Error::Limit { .. } | Error::Unsupported { .. }))
                || looping == Loop::Tiled(Tile::LARGE)
        );
    }
    // More slices than a side of the grid has workgroups.
    let refused = Case::dense("relu", [3, 8, 640]).refused(&small(1 << 16, 8), split(DIRECT, 16));
    assert!(matches!(refused, Error::Limit { required: 16, allowed: 8, .. }), "{refused:?}");
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let gpu = gpu();
    let zeros = |shape: &[usize]| gpu.zeros(shape, F32).unwrap();
    let (whole, weight, up) = (zeros(&[1000]), zeros(&[6, 5]), zeros(&[6, 5]));
    let (a, out) = (view(&whole, 0, [4, 5]), view(&whole, 100, [4, 6]));
    let dense = Linear::new(gpu, Activation::Relu).with_tuning(Tuning::Fixed(split(DIRECT, 2)));
    let gated = |strategy| Linear::gated(gpu, ffwd::Gate::OAI).with_tuning(Tuning::Fixed(strategy));
    let one = Weights::plain(&weight);
    let plain = LinearArgs::new(&a, one, &out);
    // Beside each other in one buffer: fine.
    dense.plan(plain).unwrap();
    for start in [99, 101, 106, 123] {
        let residual = view(&whole, start, [4, 6]);
        let refused = dense.plan(LinearArgs { residual: Some(&residual), ..plain });
        assert!(matches!(refused, Err(Error::Alias { input: "residual", output: "out" })), "{start}: {refused:?}");
        let weights = Weights::Gate { weight: (&weight).into(), bias: None, up: &residual };
        let refused = gated(DIRECT).plan(LinearArgs::new(&a, weights, &out));
        assert!(matches!(refused, Err(Error::Alias { input: "up", output: "out" })), "{start}: {refused:?}");
        let weights = Weights::GateUp { gate: (&weight).into(), up: (&up).into(), bias: None };
        let refused = gated(unfused(DIRECT)).plan(LinearArgs { weights, residual: Some(&residual), ..plain });
        assert!(matches!(refused, Err(Error::Alias { input: "residual", output: "out" })), "{start}: {refused:?}");
    }
    // The same bytes in another kind.
    let other = Tensor::from_buffer(whole.buffer(), 200, &[4, 6], F16).unwrap();
    assert!(matches!(dense.plan(LinearArgs { residual: Some(&other), ..plain }), Err(Error::Alias { input: "residual", output: "out" })));
    let square = view(&whole, 100, [4, 5]);
    let part = view(&weight, 0, [5, 5]);
    let weights = Weights::plain(&part);
    assert!(matches!(dense.plan(LinearArgs::new(&square, weights, &square)), Err(Error::Alias { input: "a", output: "out" })));
    for shape in [&[24][..], &[6, 4], &[4, 7], &[1, 4, 6], &[4, 1], &[1, 6], &[0]] {
        let refused = dense.plan(LinearArgs { residual: Some(&zeros(shape)), ..plain });
        assert!(matches!(refused, Err(Error::Shape { operand: "residual", .. })), "{shape:?}: {refused:?}");
    }
    // Untransposed shapes where transposed ones are said to be.
    for (transposed, operand) in [([true, false], "weight"), ([false, true], "weight"), ([true, true], "weight")] {
        let refused = dense.plan(LinearArgs { transposed, ..plain });
        assert!(matches!(&refused, Err(Error::Shape { operand: o, .. }) if *o == operand), "{transposed:?}: {refused:?}");
    }
    let deep = zeros(&[2, 2, 5]);
    let refused = dense.plan(LinearArgs { transposed: [true, false], ..LinearArgs::new(&deep, one, &out) });
    assert!(matches!(refused, Err(Error::Shape { operand: "a", .. })), "{refused:?}");
}

/// Windows of 4 KiB: of the transposed they cut the depth, into dispatches that are summed.
#[test]
fn windows_cut_rows_columns_and_depth() {
    let mut faults = Faults::default();
    let tiny = small(4096, 8);
    let mut check = |case: &Case, strategy| {
        let ran = faults.check(&tiny, case, strategy);
        assert!(ran.is_none_or(|(dispatches, _)| dispatches > strategy.slices as usize), "nothing was cut of {case:?}");
    };
    for transposed in LAYOUTS {
        for sizes in [[70, 36, 130], [33, 41, 90], [3, 230, 12], [230, 3, 12], [150, 150, 9]] {
            let case = Case { transposed, ..Case::dense("identity", sizes) };
            check(&case, DIRECT);
            check(&case, split(DIRECT, 2));
        }
        let case = Case { transposed, bias: true, residual: Residual::Out, offset: 1, ..Case::dense("relu", [33, 41, 90]) };
        check(&case, DIRECT);
        check(&case, split(DIRECT, 5));
        check(&case, split(Strategy::of(Loop::Tiled(Tile::SMALL)), 2));
    }
    let gate = Case { transposed: [false, true], bias: true, ..Case::gated("bilinear", Up::Out, [9, 40, 70]) };
    faults.check(&tiny, &gate, DIRECT);
    let both = Case { up: Up::Product, ..gate };
    faults.check(&tiny, &both, unfused(DIRECT));
    faults.none();
    // Two products in one kernel have no sums to keep.
    let refused = both.refused(&tiny, DIRECT);
    assert!(matches!(refused, Error::Limit { required: 70, allowed, .. } if allowed < 70), "{refused:?}");
    // Nor has a window that no row fits in, or of the transposed no step of four.
    for (transposed, cols, sizes) in [(true, 2000, [1, 2000, 8]), (true, 1200, [3, 300, 12]), (false, 1100, [3, 8, 1100])] {
        let refused = Case { transposed: [false, transposed], ..Case::dense("relu", sizes) }.refused(&tiny, DIRECT);
        assert!(matches!(refused, Error::Limit { required, allowed, .. } if required == cols && allowed < cols), "{refused:?}");
    }
}

/// Rows and columns of tiles beyond the grid, and rows of slices' sums, which are a workgroup each.
#[test]
fn grids_are_cut() {
    let (mut faults, gpu) = (Faults::default(), small(1 << 20, 8));
    for sizes in [[600, 5, 70], [5, 600, 70], [290, 530, 9]] {
        for slices in [1, 3] {
            let case = Case { bias: true, residual: Residual::Out, ..Case::dense("relu", sizes) };
            let ran = faults.check(&gpu, &case, split(DIRECT, slices));
            assert!(ran.is_none_or(|(dispatches, _)| dispatches > slices as usize), "nothing was cut of {sizes:?}");
        }
    }
    faults.none();
}

/// On a software adapter 2^31 multiplications are the most in a dispatch. Nothing is run.
#[test]
fn long_products_are_many_dispatches() {
    let gpu = gpu();
    if !gpu.is_software() {
        return;
    }
    let [rows, cols, depth] = [2048, 1024, 4096];
    let zeros = |rows, cols| gpu.zeros(&[rows, cols], F32).unwrap();
    let (a, b, out) = (zeros(rows, depth), zeros(cols, depth), zeros(rows, cols));
    let count = |linear: Linear, weights| linear.plan(LinearArgs::new(&a, weights, &out)).unwrap().kernels().count();
    let fixed = |linear: Linear, strategy| linear.with_tuning(Tuning::Fixed(strategy));
    let one = Weights::plain(&b);
    let both = Weights::GateUp { gate: (&b).into(), up: (&b).into(), bias: None };
    let dense = || Linear::new(gpu, Activation::Identity);
    let gated = || Linear::gated(gpu, ffwd::Gate::Of(Activation::Identity));
    assert_eq!(count(fixed(dense(), DIRECT), one), 4);
    assert_eq!(count(fixed(gated(), DIRECT), both), 8);
    assert_eq!(count(fixed(gated(), unfused(DIRECT)), both), 8);
    let halves = fixed(dense(), split(DIRECT, 2));
    let plan = halves.plan(LinearArgs::new(&a, one, &out)).unwrap();
    assert_eq!((plan.kernels().count(), plan.scratch_bytes()), (8, 2 * (512 * 1024) * 4));
}

/// Slopes of their own for the columns, through the sum of slices and windows of columns.
#[test]
fn split_depths_have_learned_epilogues() {
    for (gpu, cols) in [(gpu(), 10), (&small(4096, 8), 300)] {
        let slopes: Vec<f32> = (0..cols).map(|c| c as f32 / 4.0).collect();
        let (a, w) =
            (gpu.tensor(&vec![-1.0; 2 * 40], &[2, 40], F32).unwrap(), gpu.tensor(&vec![1.0; cols * 40], &[cols, 40], F32).unwrap());
        let (table, out) = (gpu.tensor(&slopes, &[1, cols], F32).unwrap(), gpu.zeros(&[2, cols], F32).unwrap());
        let prelu = Linear::new(gpu, Activation::parse("prelu").unwrap()).with_tuning(Tuning::Fixed(split(DIRECT, 2)));
        let args = LinearArgs::new(&a, Weights::plain(&w), &out);
        prelu.plan(LinearArgs { parameters: Some(&table), ..args }).unwrap().submit(gpu);
        let want: Vec<f32> = (0..2).flat_map(|_| slopes.iter().map(|slope| -40.0 * slope)).collect();
        same_bits(&gpu.read_back(&out).unwrap(), &want).unwrap();
    }
}
