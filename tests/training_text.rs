//! Next-character prediction from end to end: windows, embedding, blocks, head and cross-entropy beside a replica in f64, by the
//! bound of its sums; what a seed decides, checkpoints, and what an evaluation says.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ffwd::accuracy::Random;
use ffwd::ops::Dropout;
use ffwd::shader::function::Function;
use ffwd::train::{Decay, Evaluation, LossScaling, NetworkSpec, Record, Schedule, Scheme, Task, Text, Trainer, TrainerOptions};
use ffwd::weights::HostTensor;
use ffwd::{Activation, Element, Error, Gate, oracle};
use support::replica::{Named, Number, Replica, back, distance, judge, linear, of_weight, table};
use support::{gpu, same_bits};

use Element::{Bf16, F16, F32};

const CONTEXT: usize = 4;
const BATCH: usize = 8;
const VALIDATION: usize = 3;
const SIZES: [usize; 2] = [12, 16];
/// Features of a character.
const EACH: usize = SIZES[0] / CONTEXT;

/// About 2000 characters of sentences that nobody wrote.
fn text() -> String {
    let words = ["a", "gate", "of", "light", "falls", "over", "the", "quiet", "mill", "and", "turns", "no", "wheel", "twice"];
    let mut random = Random::new(2);
    let mut text = String::new();
    while text.len() < 2000 {
        let length = 4 + random.bits() % 5;
        let sentence: Vec<_> = (0..length).map(|_| words[(random.bits() % words.len() as u64) as usize]).collect();
        text += &sentence.join(" ");
        text += ". ";
    }
    text
}

fn task() -> Task {
    Task::Text(Text::new(&text(), CONTEXT, BATCH, VALIDATION).unwrap())
}

fn dense(name: &str) -> Function {
    Function::Activation(Activation::parse(name).unwrap())
}

fn swiglu() -> Function {
    Function::Gate(Gate::parse("swiglu").unwrap())
}

fn spec(function: Function, blocks: usize) -> NetworkSpec {
    NetworkSpec { biases: true, ..NetworkSpec::new(function, blocks, SIZES[0], SIZES[1]) }
}

fn options() -> TrainerOptions {
    TrainerOptions { seed: 0x1_0000_0007, init: Scheme::Xavier, schedule: Schedule::constant(0.01), ..TrainerOptions::default() }
}

fn trainer(spec: &NetworkSpec, options: &TrainerOptions) -> Trainer {
    Trainer::new(gpu(), spec, &task(), options).unwrap()
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<Record> {
    (0..count).for_each(|_| trainer.step().unwrap());
    trainer.records().unwrap()
}

fn read<'a>(tensors: impl Iterator<Item = (&'a str, &'a ffwd::Tensor)>) -> BTreeMap<String, Vec<f32>> {
    tensors.map(|(name, tensor)| (name.to_owned(), gpu().read_back(tensor).unwrap())).collect()
}

/// Random numbers of uses have streams of their own: the k-th of the n-th use.
const fn stream(n: u32, k: u32) -> u32 {
    (n << 24) + k
}

/// The text on the host, as classes: the training part and the validation part.
struct Host {
    classes: usize,
    parts: [Vec<usize>; 2],
}

impl Host {
    fn new() -> Self {
        let text = text();
        let characters: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let mut train: Vec<usize> = text.chars().map(|c| characters.iter().position(|other| *other == c).unwrap()).collect();
        let rest = train.split_off(train.len() / 10 * 9);
        Self { classes: characters.len(), parts: [train, rest] }
    }

    fn windows(&self, part: usize, start: impl Fn(u64, u64) -> u64) -> Vec<Vec<usize>> {
        let places = self.parts[part].len() - CONTEXT;
        let window = |row: u64| self.parts[part][start(row, places as u64) as usize..][..=CONTEXT].to_vec();
        (0..BATCH as u64).map(window).collect()
    }

    /// Windows of a step: at random places.
    fn trained(&self, seed: u64, step: u32) -> Vec<Vec<usize>> {
        self.windows(0, |row, places| (u64::from(oracle::word(seed, stream(3, 0), step, 4 * row)) * places) >> 32)
    }

    /// Windows of a validation batch: evenly spread.
    fn validated(&self, batch: u64) -> Vec<Vec<usize>> {
        let stride = (self.parts[1].len() / (BATCH * VALIDATION)) as u64;
        self.windows(1, |row, places| (batch * BATCH as u64 + row) * stride % places)
    }
}

/// A network with its weights as they are, in f64.
fn replica(trainer: &Trainer, options: &TrainerOptions) -> Replica {
    let NetworkSpec { ref function, blocks, d_model, d_ff, residual, .. } = *trainer.spec();
    let weights = read(trainer.parameters()).into_iter().map(|(name, values)| (name, values.into_iter().map(f64::from).collect()));
    let dropout = Dropout { probability: options.dropout, seed: options.seed, stream: stream(2, 0) };
    let dropout = (options.dropout > 0.0).then_some((dropout, trainer.taken()));
    Replica { function: function.clone(), blocks, d_model, d_ff, residual, weights: weights.collect(), dropout }
}

/// The loss, with its gradients for logits that stray. The kernel's own share: a handful of units for exponentials and
/// logarithm, and one for each class and row that is added up.
fn cross_entropy(logits: &[Number], classes: usize, targets: &[usize]) -> (Number, Vec<Number>) {
    let rounded: Vec<f32> = logits.iter().map(|l| l.value as f32).collect();
    let (loss, gradient) = oracle::cross_entropy(&rounded, classes, targets);
    let rows = targets.len();
    let stray = |i: usize| logits[i].stray + logits[i].value.abs();
    let share = |i: usize| gradient[i] * rows as f64 + f64::from(u8::from(targets[i / classes] == i % classes));
    let spread: Vec<f64> = (0..rows).map(|r| (r * classes..(r + 1) * classes).map(|i| share(i) * stray(i)).sum()).collect();
    let own = (classes + 16) as f64;
    let strayed = (0..rows).map(|r| stray(r * classes + targets[r]) + spread[r]).sum::<f64>() / rows as f64;
    let of = |r: usize, c: usize| {
        let i = r * classes + c;
        Number { value: gradient[i], stray: share(i) * (stray(i) + spread[r]) / rows as f64 + own * gradient[i].abs() }
    };
    (Number { value: loss, stray: strayed + (own + rows as f64) * loss }, table(rows, classes, of))
}

/// A network's mean loss on these windows, its gradients, and how often each hidden unit was not 0, by block.
fn course(replica: &Replica, classes: usize, windows: &[Vec<usize>]) -> (Number, Named<Number>, Vec<Vec<usize>>) {
    let [d_model, d_ff] = SIZES;
    let (embedding, head) = (replica.weight("embedding"), replica.weight("head"));
    let pass = replica.forward(table(BATCH, d_model, |r, i| embedding[windows[r][i / EACH] * EACH + i % EACH]));
    let y = pass.x.last().unwrap();
    let targets: Vec<usize> = windows.iter().map(|window| window[CONTEXT]).collect();
    let (loss, dlogits) = cross_entropy(&linear(y, d_model, &head, None, classes), classes, &targets);
    let (dx, mut gradients) = replica.backward(&pass, back(&dlogits, classes, &head, d_model));
    gradients.insert("head".into(), of_weight(&dlogits, classes, y, d_model));
    let of = |class: usize, f: usize| {
        let own = (0..BATCH * CONTEXT).filter(|at| windows[at / CONTEXT][at % CONTEXT] == class);
        Number::sum(own.map(|at| dx[at / CONTEXT * d_model + at % CONTEXT * EACH + f]))
    };
    gradients.insert("embedding".into(), table(classes, EACH, of));
    let active = |hidden: &Vec<Number>| (0..d_ff).map(|j| hidden.iter().skip(j).step_by(d_ff).filter(|h| h.value != 0.0).count()).collect();
    (loss, gradients, pass.hidden.iter().map(active).collect())
}

#[test]
fn steps_are_the_replicas() {
    let host = Host::new();
    for (function, blocks, dropout, scale) in [(dense("gelu"), 2, 0.0, 1.0), (swiglu(), 1, 0.0, 256.0), (swiglu(), 2, 0.3, 1.0)] {
        let options = TrainerOptions { dropout, scaling: LossScaling::Fixed(scale), ..options() };
        let mut trainer = trainer(&spec(function.clone(), blocks), &options);
        let (mut worst, mut farthest) = (0.0_f64, 0.0_f64);
        for step in 0..3 {
            let replica = replica(&trainer, &options);
            let (loss, mut truths, _) = course(&replica, host.classes, &host.trained(options.seed, step));
            let record = steps(&mut trainer, 1)[0];
            let mut actual = read(trainer.gradients());
            assert!(actual.keys().eq(truths.keys()) && actual.keys().eq(replica.weights.keys()));
            truths.insert("loss".into(), vec![loss]);
            actual.insert("loss".into(), vec![record.loss * scale as f32]);
            for (name, truths) in &truths {
                let scaled: Vec<_> = truths.iter().map(|n| Number { value: n.value * scale, stray: n.stray * scale }).collect();
                let judged = judge(name, &scaled, &actual[name]);
                worst = worst.max(judged.unwrap_or_else(|fault| panic!("{function:?}, step {step}: {fault}")));
                let away = distance(&scaled, &actual[name]);
                assert!(away < 5e-6, "{function:?}, step {step}: {name} is {away:e} of its norm away");
                farthest = farthest.max(away);
            }
            truths.remove("loss");
            let all = truths.values().flatten().map(|g| g.value * g.value).sum::<f64>().sqrt();
            assert!((f64::from(record.gradient_norm) / all - 1.0).abs() < 1e-5, "{}", record.gradient_norm);
        }
        println!("{blocks} x {}: {worst:.3} of what is allowed, {farthest:.1e} of a norm", function.name());
    }
}

#[test]
fn evaluations_are_the_replicas() {
    let host = Host::new();
    for function in [dense("relu"), swiglu()] {
        // Dropout is a matter of steps.
        let options = TrainerOptions { dropout: 0.5, scaling: LossScaling::Fixed(64.0), ..options() };
        let mut trainer = trainer(&spec(function, 2), &options);
        assert_eq!(trainer.evaluate().unwrap().gradient_norms, [0.0; 2]);
        steps(&mut trainer, 5);
        let replica = replica(&trainer, &TrainerOptions { dropout: 0.0, ..options });
        let (mut truth, mut active) = (Number::default(), vec![vec![0; SIZES[1]]; 2]);
        for batch in 0..VALIDATION as u64 {
            let (loss, _, counts) = course(&replica, host.classes, &host.validated(batch));
            truth = Number { value: truth.value + loss.value / VALIDATION as f64, stray: truth.stray + loss.stray / VALIDATION as f64 };
            active.iter_mut().flatten().zip(counts.into_iter().flatten()).for_each(|(sum, count)| *sum += count);
        }
        let Evaluation { step, loss, dead, gradient_norms } = trainer.evaluate().unwrap();
        assert!(step == 5 && (loss - truth.value).abs() <= truth.reach(), "{loss}, not {truth:?}");
        let share = |counts: &Vec<usize>| counts.iter().filter(|count| **count == 0).count() as f64 / SIZES[1] as f64;
        assert_eq!(dead, active.iter().map(share).collect::<Vec<_>>());
        for (block, norm) in gradient_norms.into_iter().enumerate() {
            let own = read(trainer.gradients()).into_iter().filter(|(name, _)| name.starts_with(&format!("blocks.{block}")));
            let truth = own.flat_map(|(_, g)| g).map(|g| (f64::from(g) / 64.0).powi(2)).sum::<f64>().sqrt();
            assert!((norm / truth - 1.0).abs() < 1e-6, "{norm}, not {truth}");
        }
    }
}

/// Units whose bias is -1 and whose weights are 0 never fire, those with a large bias always do.
#[test]
fn dead_units_are_counted() {
    let mut trainer = trainer(&spec(dense("relu"), 2), &options());
    let [d_model, d_ff] = SIZES;
    for (block, dead) in [(0, 3), (1, d_ff)] {
        let w1: Vec<f32> = (0..d_ff * d_model).map(|i| if i / d_model < dead { 0.0 } else { 0.01 }).collect();
        let b1: Vec<f32> = (0..d_ff).map(|j| if j < dead { -1.0 } else { 100.0 }).collect();
        trainer.set(&format!("blocks.{block}.w1"), &w1).unwrap();
        trainer.set(&format!("blocks.{block}.b1"), &b1).unwrap();
    }
    assert_eq!(trainer.evaluate().unwrap().dead, [3.0 / d_ff as f64, 1.0]);
}

/// Without updates only masks and windows change, and an evaluation knows neither.
#[test]
fn dropout_is_a_matter_of_steps() {
    let still = TrainerOptions { schedule: Schedule::constant(0.0), ..options() };
    let of = |dropout| {
        let mut trainer = trainer(&spec(swiglu(), 2), &TrainerOptions { dropout, ..still });
        let before = trainer.evaluate().unwrap();
        let losses: Vec<f32> = steps(&mut trainer, 3).iter().map(|record| record.loss).collect();
        assert_eq!(trainer.evaluate().unwrap().loss.to_bits(), before.loss.to_bits());
        (before, losses)
    };
    let (plain, dropped) = (of(0.0), of(0.4));
    assert_eq!(plain.0, dropped.0);
    assert!(plain.1.iter().zip(&dropped.1).all(|(a, b)| a != b), "{plain:?} {dropped:?}");
}

#[test]
fn a_seed_decides_everything() {
    let of = |seed| {
        let mut trainer = trainer(&spec(dense("gelu"), 2), &TrainerOptions { seed, dropout: 0.1, ..options() });
        let start = read(trainer.parameters());
        (start, steps(&mut trainer, 20), read(trainer.parameters()))
    };
    let (once, again, other) = (of(7), of(7), of(8));
    assert_eq!((&once.1, once.0 == again.0), (&again.1, true));
    for (name, values) in &once.2 {
        same_bits(values, &again.2[name]).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_ne!(*values, other.2[name], "{name}");
        // Nothing has the same numbers as anything else.
        let starts = |name: &str| once.0[name].iter().take(6).map(|v| v.abs()).collect::<Vec<_>>();
        assert!(once.0.keys().all(|another| another == name || once.0[name][0] == 0.0 || starts(another) != starts(name)), "{name}");
    }
    // What is before and behind the blocks has the second use's streams: normal numbers and Xavier's.
    let host = Host::new();
    let word = |k: u32, e: usize| oracle::uniform(oracle::word(7, stream(1, k), 0, e as u64));
    let (embedding, head) = (&once.0["embedding"], &once.0["head"]);
    assert_eq!([embedding.len(), head.len()], [host.classes * EACH, host.classes * SIZES[0]]);
    assert!(embedding.iter().enumerate().all(|(e, v)| (f64::from(*v) - oracle::inverse_normal(word(0, e))).abs() < 1e-5));
    let bound = (6.0 / (host.classes + SIZES[0]) as f64).sqrt();
    assert!(head.iter().enumerate().all(|(e, v)| (f64::from(*v) - bound * (2.0 * word(1, e) - 1.0)).abs() < 1e-6));
    assert!(once.1[19].loss < once.1[0].loss);
}

/// A checkpoint by name.
fn saved(trainer: &Trainer) -> BTreeMap<String, HostTensor> {
    trainer.checkpoint().unwrap().into_iter().collect()
}

/// What a restore may fail with.
#[derive(Debug)]
enum Fault {
    Missing,
    Of(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Of(error)
    }
}

fn restore(trainer: &mut Trainer, tensors: &BTreeMap<String, HostTensor>) -> Result<(), Fault> {
    trainer.restore(|name| tensors.get(name).cloned().ok_or(Fault::Missing))
}

/// Everything at once that a step depends on: schedule, moments, scale and its count, masks, windows.
fn busy(element: Element) -> TrainerOptions {
    TrainerOptions {
        schedule: Schedule { rate: 0.02, warm_up: 5, decay: Decay::Cosine { minimum: 1e-3, total: 18 } },
        scaling: LossScaling::Dynamic { initial: 1024.0, interval: 7 },
        clip: Some(0.5),
        element,
        dropout: 0.2,
        ..options()
    }
}

#[test]
fn checkpoints_go_on_as_if_nothing_had_been() {
    for (function, element) in [(dense("gelu"), F32), (swiglu(), Bf16)] {
        let (spec, options) = (spec(function, 2), busy(element));
        let mut first = trainer(&spec, &options);
        steps(&mut first, 10);
        let checkpoint = saved(&first);
        let there = first.evaluate().unwrap();
        let rest = steps(&mut first, 10);
        // Nor does an evaluation leave a trace.
        let mut plain = trainer(&spec, &options);
        assert_eq!(steps(&mut plain, 20)[10..], rest);
        assert_eq!(saved(&plain), saved(&first));
        // Into a trainer that was elsewhere.
        let mut second = trainer(&spec, &options);
        steps(&mut second, 3);
        restore(&mut second, &checkpoint).unwrap();
        assert_eq!((second.taken(), second.records().unwrap().len()), (10, 0));
        assert_eq!(saved(&second), checkpoint);
        assert_eq!(second.evaluate().unwrap(), there);
        assert_eq!(steps(&mut second, 10), rest);
        assert_eq!(saved(&second), saved(&first));
        assert_eq!(second.evaluate().unwrap(), first.evaluate().unwrap());
        assert_ne!(rest[9].scale, 1024.0);
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    let mut trainer = trainer(&spec(swiglu(), 1), &busy(F32));
    let start = saved(&trainer);
    steps(&mut trainer, 2);
    let before = saved(&trainer);
    for name in ["state", "norms", "blocks.0.w_gate", "head", "optimizer.1.head"] {
        let changed = |change: &dyn Fn(&HostTensor) -> Option<HostTensor>| {
            let mut tensors = start.clone();
            match change(&start[name]) {
                Some(tensor) => tensors.insert(name.to_owned(), tensor),
                None => tensors.remove(name),
            };
            tensors
        };
        let missing = restore(&mut trainer, &changed(&|_| None));
        assert!(matches!(missing, Err(Fault::Missing)), "{name}: {missing:?}");
        let shape = |t: &HostTensor| HostTensor::new(&[t.to_f32().len(), 1], F32, &t.to_f32()).ok();
        let error = restore(&mut trainer, &changed(&shape));
        assert!(matches!(&error, Err(Fault::Of(Error::Shape { operand: "checkpoint", .. }))), "{name}: {error:?}");
        let kind = |t: &HostTensor| HostTensor::new(&t.shape, F16, &t.to_f32()).ok();
        let error = restore(&mut trainer, &changed(&kind));
        assert!(matches!(&error, Err(Fault::Of(Error::Kind { operand: "checkpoint", .. }))), "{name}: {error:?}");
        assert_eq!(trainer.taken(), 2);
        assert_eq!(saved(&trainer), before, "{name}");
    }
    restore(&mut trainer, &start).unwrap();
    assert_eq!((trainer.taken(), saved(&trainer)), (0, start));
}

/// What was not read before is of another course; bytes that are not as long as their shape says are nobody's.
#[test]
fn a_checkpoint_forgets_what_came_after_it() {
    let mut trainer = trainer(&spec(dense("relu"), 1), &options());
    let mut start = saved(&trainer);
    steps(&mut trainer, 1);
    trainer.step().unwrap();
    trainer.evaluate().unwrap();
    restore(&mut trainer, &start).unwrap();
    assert!(trainer.records().unwrap().is_empty());
    for len in [8, 100_000] {
        start.get_mut("blocks.0.w1").unwrap().data.bytes.resize(len, 0);
        let error = restore(&mut trainer, &start);
        assert!(matches!(&error, Err(Fault::Of(Error::TooSmall { operand: "checkpoint", .. }))), "{len}: {error:?}");
    }
}
