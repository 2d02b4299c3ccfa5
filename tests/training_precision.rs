//! Loss scaling and 16-bit kinds in training: what a scale may change, what overflow and underflow lead to, and which settings
//! are refused.

mod support;

use ffwd::shader::function::Function;
use ffwd::train::{Decay, LossScaling, NetworkSpec, Optimizer, Record, Schedule, Scheme, Task, Text, Trainer, TrainerOptions};
use ffwd::{Activation, Element, Error, Gate, Tensor};
use support::layer::tokens;
use support::{gpu, numbers, regression, same_bits};

use Element::{Bf16, F16, F32};

const ROWS: usize = 8;
const SIZES: [usize; 2] = [12, 20];
const MOST: f32 = 16_777_216.0;

fn gelu() -> Function {
    Function::Activation(Activation::Gelu)
}

fn swiglu() -> Function {
    Function::Gate(Gate::parse("swiglu").unwrap())
}

fn task() -> Task {
    regression(tokens(F32, ROWS, SIZES[0]), numbers(F32, ROWS * SIZES[0], 33))
}

fn spec(function: Function) -> NetworkSpec {
    NetworkSpec { biases: true, ..NetworkSpec::new(function, 1, SIZES[0], SIZES[1]) }
}

fn options(element: Element, scaling: LossScaling) -> TrainerOptions {
    TrainerOptions { element, scaling, init: Scheme::Xavier, seed: 4, ..TrainerOptions::default() }
}

fn trainer(function: Function, options: &TrainerOptions) -> Trainer {
    Trainer::new(gpu(), &spec(function), &task(), options).unwrap()
}

/// Every tensor that is learned, one after the other.
fn weights(trainer: &Trainer) -> Vec<f32> {
    trainer.parameters().flat_map(|(_, tensor)| gpu().read_back(tensor).unwrap()).collect()
}

/// Everything but what steers steps: weights, and what the optimizer keeps of them.
fn learned(trainer: &Trainer) -> Vec<f32> {
    let tensors = trainer.checkpoint().unwrap().into_iter();
    tensors.filter(|(name, _)| name.contains("blocks")).flat_map(|(_, tensor)| tensor.to_f32()).collect()
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<Record> {
    (0..count).for_each(|_| trainer.step().unwrap());
    trainer.records().unwrap()
}

/// A scale that is a power of 2 is taken out again without a trace, as long as nothing leaves f32's normal numbers; any other is
/// to rounding.
#[test]
fn scales_leave_no_trace() {
    let dynamic = LossScaling::Dynamic { initial: 65536.0, interval: 5 };
    for (function, clip) in [(gelu(), None), (swiglu(), Some(3.0))] {
        let run = |scaling| {
            let mut trainer = trainer(function.clone(), &TrainerOptions { clip, ..options(F32, scaling) });
            let records = steps(&mut trainer, 12);
            (weights(&trainer), records, trainer.evaluate().unwrap())
        };
        let (plain, records, evaluation) = run(LossScaling::NONE);
        for scaling in [LossScaling::Fixed(1024.0), LossScaling::Fixed(0.25), dynamic] {
            let (scaled, others, other) = run(scaling);
            same_bits(&scaled, &plain).unwrap_or_else(|fault| panic!("{scaling:?}: {fault}"));
            assert_eq!(other, evaluation, "{scaling:?}");
            for (record, other) in records.iter().zip(&others) {
                let scale = match scaling {
                    LossScaling::Fixed(scale) => scale as f32,
                    // Twice after five steps, and after five more.
                    LossScaling::Dynamic { .. } => 65536.0 * f32::exp2((other.step / 5) as f32),
                };
                assert_eq!(*other, Record { scale, ..*record }, "{scaling:?}");
            }
        }
        let (scaled, others, _) = run(LossScaling::Fixed(1000.0));
        assert!(others.iter().zip(&records).all(|(a, b)| (a.loss / b.loss - 1.0).abs() < 1e-6 && !a.skipped()));
        let worst = scaled.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6 && worst > 0.0, "{worst}");
    }
}

#[test]
fn scales_grow_to_2_to_the_24() {
    let mut trainer = trainer(gelu(), &options(F32, LossScaling::Dynamic { initial: 4_194_304.0, interval: 1 }));
    let scales: Vec<_> = steps(&mut trainer, 5).iter().map(|record| record.scale).collect();
    assert_eq!(scales, [MOST / 4.0, MOST / 2.0, MOST, MOST, MOST]);
}

/// In f16 the largest scale overflows: such steps change nothing but the scale, and are no updates for schedule and AdamW.
#[test]
fn overflow_is_skipped_until_the_scale_fits() {
    let schedule = Schedule { rate: 0.01, warm_up: 4, decay: Decay::None };
    let scaling = LossScaling::Dynamic { initial: f64::from(MOST), interval: 2 };
    let mut trainer = trainer(gelu(), &TrainerOptions { schedule, ..options(F16, scaling) });
    let (mut scale, mut sound, mut updates, mut skipped, mut first) = (MOST, 0, 0, 0, None);
    for step in 0..24 {
        let before = learned(&trainer);
        let record = steps(&mut trainer, 1)[0];
        assert_eq!((record.step, record.scale), (step, scale));
        assert!(record.loss.is_finite());
        let rate = 0.01 * (updates as f32 + 1.0).min(4.0) / 4.0;
        assert!((record.rate / rate - 1.0).abs() < 1e-6, "step {step}: {} for {rate}", record.rate);
        let after = learned(&trainer);
        if record.skipped() {
            same_bits(&after, &before).unwrap_or_else(|fault| panic!("step {step} was skipped: {fault}"));
            (scale, sound, skipped) = (scale / 2.0, 0, skipped + 1);
            continue;
        }
        assert_ne!(after, before, "step {step}");
        (sound, updates) = (sound + 1, updates + 1);
        first.get_or_insert_with(|| (scale, weights(&trainer)));
        if sound == 2 {
            (scale, sound) = (scale * 2.0, 0);
        }
    }
    assert!(skipped >= 5 && updates >= 5, "{skipped} skipped, {updates} updates");
    // The first update is that of a trainer which started with the scale that fits.
    let (fits, weights_then) = first.unwrap();
    let mut other = self::trainer(gelu(), &TrainerOptions { schedule, ..options(F16, LossScaling::Fixed(f64::from(fits))) });
    assert!(!steps(&mut other, 1)[0].skipped());
    same_bits(&weights(&other), &weights_then).unwrap();
}

/// The error that the last steps' records end in.
fn refused(trainer: &mut Trainer) -> (u32, String, String) {
    match trainer.records() {
        Err(Error::Training { step, tensor, reason }) => (step, tensor, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn overflow_at_a_fixed_scale_is_an_error() {
    let mut trainer = trainer(gelu(), &options(F16, LossScaling::Fixed(f64::from(MOST))));
    let before = weights(&trainer);
    trainer.step().unwrap();
    let (step, tensor, reason) = refused(&mut trainer);
    assert_eq!(step, 0);
    assert!(reason.contains("not finite") && reason.contains("16777216"), "{reason}");
    let lost = |tensor: &Tensor| gpu().read_back(tensor).unwrap().iter().any(|g| !g.is_finite());
    let first = trainer.gradients().find(|(_, gradient)| lost(gradient)).map(|(name, _)| name);
    assert_eq!(first, Some(tensor.as_str()));
    assert_eq!(weights(&trainer), before);
}

/// A network and a task whose loss is about 1e-6, so that gradients are far below f16's normal numbers.
fn faint(element: Element, scaling: LossScaling) -> Trainer {
    let [d_model, rows] = [SIZES[0], 32];
    let target: Vec<f32> = numbers(F32, rows * d_model, 33).iter().map(|v| v * 1e-3).collect();
    let spec = NetworkSpec { residual: false, ..NetworkSpec::new(gelu(), 1, d_model, SIZES[1]) };
    let schedule = Schedule::constant(5e-5);
    let options = TrainerOptions { schedule, ..options(element, scaling) };
    let trainer = Trainer::new(gpu(), &spec, &regression(tokens(F32, rows, d_model), target), &options).unwrap();
    let w2: Vec<f32> = numbers(F32, d_model * SIZES[1], 34).iter().map(|v| v * 1e-4).collect();
    trainer.set("blocks.0.w2", &w2).unwrap();
    trainer
}

#[test]
fn underflow_in_f16_is_an_error_that_scaling_mends() {
    let mut plain = faint(F16, LossScaling::NONE);
    plain.step().unwrap();
    let (step, tensor, reason) = refused(&mut plain);
    assert!(step == 0 && tensor.starts_with("blocks.0.w"), "{step} {tensor}");
    assert!(reason.contains("6.1e-5") && reason.contains("Fixed(1.0)"), "{reason}");
    // So it is when the trainer measures.
    plain.step().unwrap();
    assert!(matches!(plain.evaluate(), Err(Error::Training { step: 1, .. })));
    for (element, scaling) in
        [(F16, LossScaling::DYNAMIC), (F16, LossScaling::Fixed(65536.0)), (F32, LossScaling::NONE), (Bf16, LossScaling::NONE)]
    {
        let mut trainer = faint(element, scaling);
        let losses: Vec<f32> = steps(&mut trainer, 40).iter().map(|record| record.loss).collect();
        assert!(losses[0] < 1e-5 && losses[39] < losses[0] / 2.0, "{element}, {scaling:?}: {} to {}", losses[0], losses[39]);
        println!("{element}, {scaling:?}: {:.2e} to {:.2e}", losses[0], losses[39]);
    }
}

/// A gate's product is quadratic in its input, and passes 65504 where the input is a few hundred.
#[test]
fn a_gates_product_overflows_in_f16_alone() {
    for hidden in Element::ALL {
        let mut trainer = trainer(swiglu(), &TrainerOptions { hidden, ..options(F32, LossScaling::NONE) });
        let some = |seed, factor: f32| -> Vec<f32> { numbers(F32, SIZES[0] * SIZES[1], seed).iter().map(|v| v * factor).collect() };
        for (name, values) in [("w_gate", some(1, 100.0)), ("w_up", some(2, 100.0)), ("w_down", some(3, 1e-6))] {
            trainer.set(&format!("blocks.0.{name}"), &values).unwrap();
        }
        let before = weights(&trainer);
        trainer.step().unwrap();
        if hidden == F16 {
            let (step, _, reason) = refused(&mut trainer);
            assert!(step == 0 && reason.contains("hidden in f16") && reason.contains("Fixed(1.0)"), "{reason}");
            same_bits(&weights(&trainer), &before).unwrap();
        } else {
            let record = trainer.records().unwrap()[0];
            assert!(record.loss.is_finite() && !record.skipped(), "{hidden}: {record:?}");
            assert_ne!(weights(&trainer), before);
        }
    }
}

/// The device remembers 64 steps; nobody has to ask in time.
#[test]
fn records_are_complete() {
    let mut trainer = trainer(gelu(), &options(F32, LossScaling::NONE));
    let records = steps(&mut trainer, 150);
    assert!(records.iter().map(|record| record.step).eq(0..150));
    assert!(records.windows(2).filter(|two| two[1].loss < two[0].loss).count() > 140);
    trainer.step().unwrap();
    trainer.evaluate().unwrap();
    assert_eq!(trainer.records().unwrap().iter().map(|record| record.step).collect::<Vec<_>>(), [150]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let plain = options(F32, LossScaling::NONE);
    let schedule = |rate, decay| TrainerOptions { schedule: Schedule { rate, warm_up: 0, decay }, ..plain };
    let sgd = |momentum, weight_decay| TrainerOptions { optimizer: Optimizer::Sgd { momentum, weight_decay }, ..plain };
    let adamw = |beta1, beta2, epsilon, weight_decay| TrainerOptions {
        optimizer: Optimizer::AdamW { beta1, beta2, epsilon, weight_decay },
        ..plain
    };
    let (nan, dynamic) = (f64::NAN, |initial| LossScaling::Dynamic { initial, interval: 1 });
    for (name, options) in [
        ("momentum", sgd(1.0, 0.0)),
        ("momentum", sgd(nan, 0.0)),
        ("weight_decay", sgd(0.0, -0.1)),
        ("beta1", adamw(-0.1, 0.9, 0.0, 0.0)),
        ("beta2", adamw(0.9, 1.0, 0.0, 0.0)),
        ("epsilon", adamw(0.9, 0.9, nan, 0.0)),
        ("weight_decay", adamw(0.9, 0.9, 0.0, f64::INFINITY)),
        ("rate", schedule(-1e-3, Decay::None)),
        ("rate", schedule(nan, Decay::None)),
        ("minimum", schedule(1e-3, Decay::Cosine { minimum: -1.0, total: 3 })),
        ("scale", TrainerOptions { scaling: LossScaling::Fixed(0.0), ..plain }),
        ("scale", TrainerOptions { scaling: LossScaling::Fixed(nan), ..plain }),
        ("scale", TrainerOptions { scaling: dynamic(2.0 * f64::from(MOST)), ..plain }),
        ("probability", TrainerOptions { dropout: 1.0, ..plain }),
        ("probability", TrainerOptions { dropout: nan, ..plain }),
        ("norm", TrainerOptions { clip: Some(-1.0), ..plain }),
        ("norm", TrainerOptions { clip: Some(nan), ..plain }),
    ] {
        let error = Trainer::new(gpu(), &spec(gelu()), &task(), &options).unwrap_err();
        assert!(matches!(&error, Error::Parameter { parameter, .. } if parameter == name), "{name}: {error}");
    }
    let refuses = |spec: &NetworkSpec, task: &Task, operand: &str| {
        let error = Trainer::new(gpu(), spec, task, &plain).unwrap_err();
        assert!(matches!(&error, Error::Shape { operand: found, .. } if *found == operand), "{operand}: {error}");
    };
    for none in
        [NetworkSpec { blocks: 0, ..spec(gelu()) }, NetworkSpec { d_model: 0, ..spec(gelu()) }, NetworkSpec { d_ff: 0, ..spec(gelu()) }]
    {
        refuses(&none, &task(), "network");
    }
    refuses(&spec(gelu()), &regression(vec![1.0; 13], vec![1.0; 13]), "x");
    refuses(&spec(gelu()), &regression(Vec::new(), Vec::new()), "x");
    refuses(&spec(gelu()), &regression(vec![1.0; 12], vec![1.0; 24]), "target");
    let text = Text::new(&"abcde".repeat(30), 5, 2, 2).unwrap();
    assert_eq!(text.classes(), 5);
    refuses(&spec(gelu()), &Task::Text(text), "d_model");
    for (length, context, batch, validation) in [(40, 4, 2, 2), (200, 0, 2, 2), (200, 4, 0, 2), (200, 4, 2, 0)] {
        let error = Text::new(&"a".repeat(length), context, batch, validation).unwrap_err();
        assert!(matches!(error, Error::Shape { operand: "text", .. }), "{error}");
    }
    let trainer = trainer(gelu(), &plain);
    for (name, len, operand) in [("blocks.0.w1", 3, "values"), ("blocks.0.w9", 240, "name")] {
        let error = trainer.set(name, &vec![0.0; len]).unwrap_err();
        assert!(matches!(&error, Error::Shape { operand: found, .. } if *found == operand), "{error}");
    }
}

/// The gradient of a learned slope is f32, whatever the weights' are, and may be as small as it likes.
#[test]
fn gradients_in_f32_do_not_underflow() {
    let spec = NetworkSpec { residual: false, ..NetworkSpec::new(Activation::parse("prelu").unwrap().into(), 1, 4, 4) };
    let options = TrainerOptions { element: F16, ..TrainerOptions::default() };
    let mut trainer = Trainer::new(gpu(), &spec, &regression(vec![1.0; 16], vec![0.5; 16]), &options).unwrap();
    trainer.set("blocks.0.w1", &[[0.25_f32; 12].as_slice(), &[-0.25; 4]].concat()).unwrap();
    // Only the last hidden unit is below 0, and hardly anything depends on it.
    let last = |i: usize| if i == 3 { 1e-5 } else { 0.0 };
    let w2: Vec<f32> = (0..16).map(|i| if i % 4 == 3 { last(i) } else { 0.5 }).collect();
    trainer.set("blocks.0.w2", &w2).unwrap();
    trainer.step().unwrap();
    trainer.records().unwrap();
}

#[test]
fn a_dynamic_scale_starts_at_one_or_above() {
    for (scaling, fits) in [(0.5, false), (1.0, true), (2.0 * f64::from(MOST), false)] {
        let options = options(F16, LossScaling::Dynamic { initial: scaling, interval: 10 });
        let made = Trainer::new(gpu(), &spec(gelu()), &task(), &options);
        assert!(if fits { made.is_ok() } else { matches!(made, Err(Error::Parameter { .. })) }, "{scaling}");
    }
}
