//! The parts of training one by one: initial weights against the oracle's random numbers, and optimizers, schedules and
//! clipping against the oracle's, step by step beside a replica in f64.

mod support;

use std::collections::BTreeMap;

use ffwd::shader::function::Function;
use ffwd::train::{Decay, Init, NetworkSpec, Optimizer, Record, Schedule, Scheme, Trainer, TrainerOptions};
use ffwd::{Activation, Element, Error, Gate, Gpu, oracle};
use support::layer::tokens;
use support::replica::{Named, Number, Replica, exact};
use support::{Guarded, devices, gpu, numbers, regression, rounded, same_bits};

use Element::F32;

const SEED: u64 = 0xfedc_ba98_7654_3210;
const STREAM: u32 = 3;

/// What a distribution makes of so many elements, `offset` elements off the alignment.
fn drawn(gpu: &Gpu, init: Init, element: Element, len: usize, offset: usize) -> Vec<f32> {
    let out = Guarded::output(gpu, &[len], element, offset);
    init.fill(gpu, &out.tensor, SEED, STREAM).unwrap().submit(gpu);
    out.read(gpu, "drawn")
}

fn uniform(element: usize) -> f64 {
    oracle::uniform(oracle::word(SEED, STREAM, 0, element as u64))
}

/// Whole vectors with a ragged end, and elements one by one.
const PLACES: [(usize, usize); 2] = [(4099, 0), (37, 1)];

#[test]
fn uniform_numbers_are_exact() {
    // 2 u - 1 has 24 bits, so that its product with the bound is rounded once.
    let expected = |bound: f64, e: usize| ((2.0 * uniform(e) - 1.0) * f64::from(bound as f32)) as f32;
    for device in devices() {
        for element in Element::ALL {
            for (len, offset) in PLACES {
                let bound = 0.7;
                let exact: Vec<f32> = (0..len).map(|e| expected(bound, e)).collect();
                let actual = drawn(&device.gpu, Init::Uniform { bound }, element, len, offset);
                same_bits(&actual, &rounded(element, &exact)).unwrap_or_else(|fault| panic!("{element} on {}: {fault}", device.name));
            }
        }
        for (init, value) in [(Init::Zeros, 0.0), (Init::Constant(-0.7), -0.7)] {
            assert_eq!(drawn(&device.gpu, init, F32, 37, 1), [value; 37]);
        }
    }
}

/// AS 241 is good to about 1e-7 of itself. Its rational functions take some ten operations in f32 of half a unit each, a
/// logarithm of a number below 0.075 is within 3 units (WGSL's table of accuracies) and a root within 2 or so; the root halves the one,
/// and 24 units of 2^-24 are 1.5e-6. The absolute 1e-6 is for what lies near 0.
fn normal_bound(x: f64) -> f64 {
    2e-6 * x.abs() + 1e-6
}

#[test]
fn normal_numbers_are_the_oracles() {
    let deviation = 0.02;
    for device in devices() {
        for (len, offset) in PLACES {
            let mut worst = 0.0_f64;
            for (e, actual) in drawn(&device.gpu, Init::Normal { deviation }, F32, len, offset).into_iter().enumerate() {
                let x = oracle::inverse_normal(uniform(e));
                let error = (f64::from(actual) / deviation - x).abs();
                assert!(error <= normal_bound(x), "{e} on {}: {actual} for {}", device.name, x * deviation);
                worst = worst.max(error / normal_bound(x));
            }
            println!("normal numbers on {}: {worst:.3} of what is allowed", device.name);
        }
    }
}

#[test]
fn truncated_numbers_stay_within() {
    for device in devices() {
        for cut in [0.5, 2.0, 3.0] {
            let (deviation, width) = (0.02, libm::erf(cut / std::f64::consts::SQRT_2));
            let mut worst = 0.0_f64;
            for (e, actual) in drawn(&device.gpu, Init::TruncatedNormal { deviation, cut }, F32, 4099, 0).into_iter().enumerate() {
                let x = oracle::inverse_normal(0.5 + (uniform(e) - 0.5) * width);
                // Its share of the whole is rounded, and so is the product with it: half a unit of one half, and of one quarter.
                let density = libm::exp(-x * x / 2.0) / (2.0 * std::f64::consts::PI).sqrt();
                let allowed = normal_bound(x) + 3.0 * f64::exp2(-27.0) / density;
                let error = (f64::from(actual) / deviation - x).abs();
                assert!(error <= allowed, "{e} within {cut} on {}: {actual} for {}", device.name, x * deviation);
                assert!(f64::from(actual.abs()) <= deviation * (cut + allowed), "{e} within {cut}: {actual}");
                worst = worst.max(error / allowed);
            }
            println!("within {cut} deviations on {}: {worst:.3} of what is allowed", device.name);
        }
    }
}

/// Mean and variance of 2^18 draws, within five standard deviations of each.
#[test]
fn moments_are_those_of_the_distribution() {
    const LEN: usize = 1 << 18;
    let (deviation, bound, cut) = (0.5, 0.7, 2.0);
    let share = libm::erf(cut / std::f64::consts::SQRT_2);
    let density = libm::exp(-cut * cut / 2.0) / (2.0 * std::f64::consts::PI).sqrt();
    // Of the normal distribution within c: 1 - 2 c phi(c) / share, and 3 times that less 2 c^3 phi(c) / share.
    let squares = 1.0 - 2.0 * cut * density / share;
    let fourths = 3.0 * squares - 2.0 * cut.powi(3) * density / share;
    for (init, variance, fourth) in [
        (Init::Uniform { bound }, bound.powi(2) / 3.0, bound.powi(4) / 5.0),
        (Init::Normal { deviation }, deviation.powi(2), 3.0 * deviation.powi(4)),
        (Init::TruncatedNormal { deviation, cut }, squares * deviation.powi(2), fourths * deviation.powi(4)),
    ] {
        let draws = devices().each_ref().map(|device| drawn(&device.gpu, init, F32, LEN, 0));
        same_bits(&draws[0], &draws[1]).unwrap_or_else(|fault| panic!("{init:?}: {fault}"));
        let average = |f: &dyn Fn(f64) -> f64| draws[0].iter().map(|v| f(f64::from(*v))).sum::<f64>() / LEN as f64;
        let (mean, square) = (average(&|v| v), average(&|v| v * v));
        assert!(mean.abs() < 5.0 * (variance / LEN as f64).sqrt(), "{init:?}: mean {mean}");
        let error = (square - variance).abs();
        assert!(error < 5.0 * ((fourth - variance.powi(2)) / LEN as f64).sqrt(), "{init:?}: variance {square}, not {variance}");
    }
}

#[test]
fn what_is_no_distribution_is_refused() {
    let some = gpu().zeros(&[4], F32).unwrap();
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e39] {
        let refused = [
            ("bound", Init::Uniform { bound: bad }),
            ("deviation", Init::Normal { deviation: bad }),
            ("deviation", Init::TruncatedNormal { deviation: bad, cut: 2.0 }),
            ("cut", Init::TruncatedNormal { deviation: 1.0, cut: bad }),
        ];
        for (name, init) in refused {
            let error = init.fill(gpu(), &some, 0, 0).unwrap_err();
            assert!(matches!(&error, Error::Parameter { parameter, .. } if parameter == name), "{init:?}: {error}");
        }
    }
    let none = gpu().zeros(&[0, 4], F32).unwrap();
    Init::Normal { deviation: 1.0 }.fill(gpu(), &none, 0, 0).unwrap().submit(gpu());
}

#[test]
fn schemes_are_the_papers() {
    // 32 features, 64 hidden ones, 8 blocks: gain / sqrt(32), 1 / sqrt(64), sqrt(6 / 96), 0.02 / sqrt(16).
    let (into, out_of) = ([64, 32], [32, 64]);
    let normal = |deviation| Init::Normal { deviation };
    let (wide, narrow, cut) = (normal(0.02), normal(0.005), Init::TruncatedNormal { deviation: 0.02, cut: 2.0 });
    let all = [
        (Scheme::Kaiming, [normal(0.25), normal(0.125), normal(0.25), normal(0.25), normal(0.125)]),
        (Scheme::Xavier, [Init::Uniform { bound: 0.25 }; 5]),
        (Scheme::TruncatedNormal, [cut; 5]),
        (Scheme::Megatron, [wide, narrow, wide, wide, narrow]),
        (Scheme::Llama, [wide, narrow, wide, narrow, narrow]),
    ];
    assert_eq!(all.map(|(scheme, _)| scheme), Scheme::ALL);
    let names = [("w1", into), ("w2", out_of), ("w_gate", into), ("w_up", into), ("w_down", out_of)];
    for (scheme, expected) in all {
        for ((name, shape), expected) in names.iter().zip(expected) {
            let (actual, close) = (scheme.of(name, shape, 8), |a: f64, b: f64| (a - b).abs() <= 1e-15);
            let same = match (actual, expected) {
                (Init::Normal { deviation: a }, Init::Normal { deviation: b })
                | (Init::Uniform { bound: a }, Init::Uniform { bound: b }) => close(a, b),
                _ => actual == expected,
            };
            assert!(same, "{scheme:?} of {name}: {actual:?}, not {expected:?}");
        }
    }
    let close = |init: Init, expected: f64| matches!(init, Init::Uniform { bound: v } | Init::Normal { deviation: v } if (v - expected).abs() < 1e-15);
    assert!(close(Init::kaiming_uniform(48, 2.0), 0.5) && close(Init::xavier_normal(20, 12), 0.25));
}

/// What a network is trained with.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    optimizer: Optimizer,
    schedule: Schedule,
    clip: Option<f64>,
    dropout: f64,
}

const ADAMW: Optimizer = Optimizer::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.3 };
const MOMENTUM: Optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.1 };
const COSINE: Decay = Decay::Cosine { minimum: 1e-3, total: 7 };

const fn setting(name: &'static str, optimizer: Optimizer, rate: f64) -> Setting {
    Setting { name, optimizer, schedule: Schedule::constant(rate), clip: None, dropout: 0.0 }
}

const SETTINGS: [Setting; 7] = [
    setting("descent", Optimizer::SGD, 0.05),
    setting("momentum and decay", MOMENTUM, 0.02),
    Setting { clip: Some(3.0), ..setting("clipped momentum", MOMENTUM, 0.02) },
    setting("AdamW", ADAMW, 0.01),
    setting("AdamW as Llama's", Optimizer::adamw(0.1), 0.01),
    Setting { schedule: Schedule { rate: 0.02, warm_up: 3, decay: COSINE }, clip: Some(3.0), ..setting("a schedule", ADAMW, 0.0) },
    Setting { schedule: Schedule { rate: 0.02, warm_up: 4, decay: Decay::None }, dropout: 0.25, ..setting("dropout", ADAMW, 0.0) },
];

const ROWS: usize = 8;
const SIZES: [usize; 2] = [12, 20];
const STEPS: u32 = 10;

/// The oracle's course of one step: the replica's weights are updated.
struct Oracle {
    replica: Replica,
    kept: BTreeMap<String, [Vec<f64>; 2]>,
}

impl Oracle {
    fn step(&mut self, setting: &Setting, step: u32, x: &[f32], target: &[f32]) -> [f64; 3] {
        if let Some((_, count)) = &mut self.replica.dropout {
            *count = step;
        }
        let pass = self.replica.forward(exact(x));
        let prediction: Vec<f32> = pass.x[1].iter().map(|y| y.value as f32).collect();
        let (loss, dy) = oracle::mean_squared_error(&prediction, target);
        let (_, gradients) = self.replica.backward(&pass, exact(&dy));
        let values = |gradient: &Vec<Number>| -> Vec<f64> { gradient.iter().map(|g| g.value).collect() };
        let mut gradients: Named<f64> = gradients.iter().map(|(name, gradient)| (name.clone(), values(gradient))).collect();
        let all: Vec<&[f64]> = gradients.values().map(Vec::as_slice).collect();
        let (norm, factor) = oracle::clip_factor(&all, setting.clip.unwrap_or(f64::INFINITY));
        let decay = match setting.schedule.decay {
            Decay::None => oracle::Decay::None,
            Decay::Cosine { minimum, total } => oracle::Decay::Cosine { minimum, total },
        };
        let rate = oracle::learning_rate(step, setting.schedule.rate, setting.schedule.warm_up, decay);
        for (name, gradient) in &mut gradients {
            gradient.iter_mut().for_each(|g| *g *= factor);
            let weight = self.replica.weights.get_mut(name).unwrap();
            let [first, second] = self.kept.entry(name.clone()).or_insert_with(|| [vec![0.0; gradient.len()], vec![0.0; gradient.len()]]);
            // Biases and what activations learn do not decay.
            let decays = |weight_decay: f64| if name.starts_with("blocks.0.w") { weight_decay } else { 0.0 };
            match setting.optimizer {
                Optimizer::Sgd { momentum, weight_decay } => {
                    oracle::sgd(weight, gradient, first, rate, momentum, decays(weight_decay));
                }
                Optimizer::AdamW { beta1, beta2, epsilon, weight_decay } => {
                    let settings = oracle::AdamW { learning_rate: rate, beta1, beta2, epsilon, weight_decay: decays(weight_decay) };
                    oracle::adamw(weight, gradient, first, second, step + 1, &settings);
                }
            }
        }
        [loss, norm, rate]
    }
}

fn functions() -> [Function; 3] {
    let activation = |name| Function::Activation(Activation::parse(name).unwrap());
    [activation("gelu"), activation("prelu"), Function::Gate(Gate::parse("swiglu").unwrap())]
}

fn follow(function: &Function, setting: &Setting) {
    let [d_model, d_ff] = SIZES;
    let (x, target) = (tokens(F32, ROWS, d_model), numbers(F32, ROWS * d_model, 33));
    let spec = NetworkSpec { biases: true, ..NetworkSpec::new(function.clone(), 1, d_model, d_ff) };
    let task = regression(x.clone(), target.clone());
    let Setting { name, optimizer, schedule, clip, dropout } = *setting;
    let options = TrainerOptions { optimizer, schedule, clip, dropout, seed: 11, init: Scheme::Xavier, ..TrainerOptions::default() };
    let mut trainer = Trainer::new(gpu(), &spec, &task, &options).unwrap();
    let mut weights = Named::new();
    let names: Vec<String> = trainer.parameters().map(|(name, _)| name.to_owned()).collect();
    for (k, name) in names.iter().enumerate() {
        let (_, tensor) = trainer.parameters().nth(k).unwrap();
        let mut values = gpu().read_back(tensor).unwrap();
        if tensor.shape().len() > 1 {
            // Xavier's numbers of a stream for each tensor.
            let bound = f64::from((6.0 / (d_model + d_ff) as f64).sqrt() as f32);
            let word = |e: usize| oracle::word(options.seed, k as u32, 0, e as u64);
            let exact: Vec<f32> = (0..values.len()).map(|e| ((2.0 * oracle::uniform(word(e)) - 1.0) * bound) as f32).collect();
            same_bits(&values, &exact).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        } else if !name.ends_with("parameters") {
            assert!(values.iter().all(|v| *v == 0.0), "{name}");
            // Not 0, so that a decay would show.
            values = numbers(F32, values.len(), k as u64).iter().map(|v| v / 4.0).collect();
            trainer.set(name, &values).unwrap();
        }
        weights.insert(name.clone(), values.into_iter().map(f64::from).collect());
    }
    // Streams of dropout are those of the third use.
    let dropped = ffwd::ops::Dropout { probability: dropout, seed: options.seed, stream: 2 << 24 };
    let replica = Replica {
        function: function.clone(),
        blocks: 1,
        d_model,
        d_ff,
        residual: true,
        weights,
        dropout: (dropout > 0.0).then_some((dropped, 0)),
    };
    let mut oracle = Oracle { replica, kept: BTreeMap::new() };
    (0..STEPS).for_each(|_| trainer.step().unwrap());
    let records = trainer.records().unwrap();
    assert_eq!((records.len(), trainer.records().unwrap().len(), trainer.taken()), (STEPS as usize, 0, STEPS));
    let (mut worst, mut clipped) = ([0.0_f64; 4], 0);
    for Record { step, loss, gradient_norm, rate, scale } in records {
        let truths = oracle.step(setting, step, &x, &target);
        for (k, (actual, truth)) in [loss, gradient_norm, rate].into_iter().zip(truths).enumerate() {
            worst[k] = worst[k].max((f64::from(actual) / truth - 1.0).abs());
        }
        assert!(worst.iter().all(|error| *error < 1e-5), "{name} of {function:?} at step {step}: {worst:?}");
        assert_eq!(scale, 1.0);
        clipped += u32::from(truths[1] > clip.unwrap_or(f64::INFINITY));
    }
    // Both sides of the limit were seen.
    assert!(clip.is_none() || (1..STEPS).contains(&clipped), "{name} of {function:?}: {clipped} of {STEPS} steps clipped");
    for (name, tensor) in trainer.parameters() {
        for (k, (actual, truth)) in gpu().read_back(tensor).unwrap().iter().zip(&oracle.replica.weights[name]).enumerate() {
            worst[3] = worst[3].max((f64::from(*actual) - truth).abs());
            assert!(worst[3] < 1e-5, "{} of {function:?}: {name} {k} is {actual}, not {truth}", setting.name);
        }
    }
    println!("{name} of {}: {} (loss, norm, rate, weights)", function.name(), worst.map(|error| format!("{error:.1e}")).join(" "));
}

#[test]
fn optimizers_follow_the_oracle() {
    for function in functions() {
        SETTINGS.iter().for_each(|setting| follow(&function, setting));
    }
}

/// A cosine that ends where the warm-up does, or before, leaves the minimum.
#[test]
fn a_cosine_may_have_no_length() {
    let (x, target) = (tokens(F32, 8, 12), numbers(F32, 8 * 12, 33));
    let task = regression(x, target);
    for total in [3, 1] {
        let schedule = Schedule { rate: 1e-3, warm_up: 3, decay: Decay::Cosine { minimum: 1e-4, total } };
        let spec = NetworkSpec::new(Activation::Gelu.into(), 1, 12, 20);
        let mut trainer = Trainer::new(gpu(), &spec, &task, &TrainerOptions { schedule, ..TrainerOptions::default() }).unwrap();
        (0..5).for_each(|_| trainer.step().unwrap());
        let rates: Vec<f32> = trainer.records().unwrap().iter().map(|record| record.rate).collect();
        assert_eq!(rates[2..], [1e-3, 1e-4, 1e-4], "{total}");
    }
}
