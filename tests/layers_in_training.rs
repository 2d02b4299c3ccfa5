//! Layers bound for training: both policies beside each other and beside the plain backward pass, to the bit; with dropout, what
//! is learned and a user's own function beside a replica in f64, by the bound of its sums.

mod support;

use std::collections::BTreeMap;

use ffwd::accuracy::Random;
use ffwd::gpu::Matrix;
use ffwd::nn::{FeedForwardBackward, FeedForwardTraining, Workspace};
use ffwd::ops::{Counter, Dropout};
use ffwd::shader::function::Function;
use ffwd::sizing::Policy;
use ffwd::{Activation, Element, Error, FeedForward, Gate};
use support::layer::{Function as Applied, Weights, tokens};
use support::replica::{Number, Replica, exact, judge};
use support::{Guarded, gpu, numbers, same_bits, subject};

use Element::{Bf16, F16, F32};

/// A layer with its input and the gradient of its output.
struct Case {
    layer: FeedForward,
    replica: Replica,
    x: Vec<f32>,
    dy: Vec<f32>,
    /// Whether gradients are added to what is there.
    accumulate: bool,
}

/// What a pass wrote, by name: `y`, `dx`, the gradients of the weights, `parameters`.
type Written = BTreeMap<String, Vec<f32>>;

/// Which passes are run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Backward,
    Train(Policy),
}

const HOW: [How; 3] = [How::Backward, How::Train(Policy::Keep), How::Train(Policy::Recompute)];
const SIZES: [usize; 3] = [9, 12, 20];

impl Case {
    fn new(function: Function, [rows, d_model, d_ff]: [usize; 3], biases: bool) -> Self {
        let applied = match function.clone() {
            Function::Activation(activation) => Applied::Dense(activation),
            Function::Gate(gate) => Applied::Gated(gate),
        };
        let layer = Weights::random(applied, F32, d_model, d_ff, biases).upload(gpu(), 0);
        let read = |(name, tensor): (&str, Matrix<'_>)| {
            (format!("blocks.0.{name}"), gpu().read_back(tensor.plain().unwrap()).unwrap().into_iter().map(f64::from).collect())
        };
        let weights = layer.layer().named().into_iter().map(read).collect();
        let replica = Replica { function, blocks: 1, d_model, d_ff, residual: false, weights, dropout: None };
        Self { layer, replica, x: tokens(F32, rows, d_model), dy: numbers(F32, rows * d_model, 18), accumulate: false }
    }

    /// With learned parameters near their defaults, one set for `channels` features each.
    fn learned(mut self, channels: usize) -> Self {
        let defaults = self.replica.function.constants();
        let count = self.replica.function.learnable_len();
        let mut random = Random::new(9);
        let values: Vec<f32> = (0..count * channels)
            .map(|i| defaults[i / channels] as f32 + if channels > 1 { 0.125 * random.factor() } else { 0.0 })
            .collect();
        let shape = if channels == 1 { vec![count] } else { vec![count, channels] };
        self.layer = self.layer.with_parameters(gpu().tensor(&values, &shape, F32).unwrap());
        self.replica.weights.insert("blocks.0.parameters".into(), values.into_iter().map(f64::from).collect());
        self
    }

    fn dropped(mut self, probability: f64, counter: &Counter, count: u32) -> Self {
        let dropout = Dropout { probability, seed: 5, stream: 3 };
        self.layer = self.layer.with_dropout(dropout, counter);
        self.replica.dropout = Some((dropout, count));
        self
    }

    /// What lies in gradients before, where they are added to.
    fn before(&self, name: &str, len: usize) -> Vec<f32> {
        numbers(F32, len, 40 + name.len() as u64)
    }

    fn run(&self, how: How) -> Result<Written, String> {
        let shape = [self.x.len() / self.replica.d_model, self.replica.d_model];
        let [x, dy] = [&self.x, &self.dy].map(|values| Guarded::holding(gpu(), values, &shape, F32, 0));
        let [y, dx] = [0; 2].map(|_| Guarded::output(gpu(), &shape, F32, 0));
        let mut names = self.layer.layer().named().into_iter().map(|(name, _)| name);
        let mut outputs = vec![("dx", dx)];
        let mut gradient = |name: &'static str, shape: &[usize]| {
            let values = self.before(name, shape.iter().product());
            let made =
                if self.accumulate { Guarded::holding(gpu(), &values, shape, F32, 0) } else { Guarded::output(gpu(), shape, F32, 0) };
            let tensor = made.tensor.clone();
            outputs.push((name, made));
            tensor
        };
        let gradients = self.layer.layer().map(|tensor| Ok(gradient(names.next().unwrap(), tensor.shape()))).unwrap();
        let dparameters = self.layer.parameters().map(|table| gradient("parameters", table.shape()));
        let args = FeedForwardBackward {
            dx: Some(&outputs[0].1.tensor),
            dparameters: dparameters.as_ref(),
            accumulate: self.accumulate,
            residual: self.replica.residual,
            ..FeedForwardBackward::new(&x.tensor, &dy.tensor, &gradients)
        };
        match how {
            How::Backward => self.layer.backward(args).map_err(|error| error.to_string())?.submit(gpu()),
            How::Train(policy) => {
                let workspace = Workspace::new(&[&self.layer], shape[0], policy, F32).unwrap();
                let args = FeedForwardTraining { y: &y.tensor, backward: args, policy, workspace: &workspace };
                let mut bound = self.layer.train(args).map_err(|error| error.to_string())?;
                let mut encoder = gpu().device().create_command_encoder(&Default::default());
                bound.forward(&mut encoder).backward(&mut encoder);
                gpu().queue().submit([encoder.finish()]);
                outputs.push(("y", y));
            }
        }
        outputs
            .into_iter()
            .map(|(name, output)| Ok((name.to_owned(), output.check(gpu()).map_err(|fault| format!("{name}: {fault}"))?)))
            .collect()
    }

    /// The same in f64.
    fn truth(&self) -> BTreeMap<String, Vec<Number>> {
        let pass = self.replica.forward(exact(&self.x));
        let (dx, gradients) = self.replica.backward(&pass, exact(&self.dy));
        let mut truths: BTreeMap<_, _> =
            gradients.into_iter().map(|(name, gradient)| (name["blocks.0.".len()..].to_owned(), gradient)).collect();
        for (name, gradient) in truths.iter_mut().filter(|_| self.accumulate) {
            let before = exact(&self.before(name, gradient.len()));
            gradient.iter_mut().zip(before).for_each(|(sum, before)| *sum = Number::sum([*sum, before].into_iter()));
        }
        truths.extend([("dx".into(), dx), ("y".into(), pass.x[1].clone())]);
        truths
    }

    /// Judges every way to run it, and returns what they wrote; the largest error is told beside its bound.
    fn check(&self, how: &[How]) -> Vec<Written> {
        let truths = self.truth();
        let name = format!("{:?} with {:?}", self.replica.function, truths.keys().collect::<Vec<_>>());
        let check = |how: &How| {
            let written = self.run(*how).unwrap_or_else(|fault| panic!("{how:?} of {name}: {fault}"));
            assert_eq!(written.len(), truths.len() - usize::from(*how == How::Backward), "{how:?} of {name}");
            let judged = |(what, actual): (&String, &Vec<f32>)| judge(what, &truths[what], actual);
            let worst = written.iter().map(judged).try_fold(0.0, |worst, judged| judged.map(|judged| f64::max(worst, judged)));
            let worst = worst.unwrap_or_else(|fault| panic!("{how:?} of {name}: {fault}"));
            println!("{how:?} of {name}: {worst:.3} of what is allowed");
            written
        };
        how.iter().map(check).collect()
    }
}

fn dense(name: &str) -> Function {
    Function::Activation(Activation::parse(name).unwrap())
}

fn gated(name: &str) -> Function {
    Function::Gate(Gate::parse(name).unwrap())
}

/// Gradients alone: what is computed again comes out of one product, and y may differ in its last bits.
fn same(left: &Written, right: &Written, what: &str) {
    for (name, values) in left.iter().filter(|(name, _)| *name != "y") {
        same_bits(values, &right[name]).unwrap_or_else(|fault| panic!("{what}: {name}: {fault}"));
    }
}

#[test]
fn policies_agree_to_the_bit() {
    for function in [dense("gelu"), gated("swiglu")] {
        for (biases, residual, accumulate) in (0..8).map(|k| (k & 1 != 0, k & 2 != 0, k & 4 != 0)) {
            let mut case = Case::new(function.clone(), SIZES, biases);
            case.replica.residual = residual;
            case.accumulate = accumulate;
            let written = case.check(&HOW);
            let what = format!("{function:?}, biases {biases}, residual {residual}, accumulate {accumulate}");
            same(&written[0], &written[1], &what);
            same(&written[0], &written[2], &what);
        }
    }
}

/// The replica that judges all others is the oracle's own layer where the oracle has one.
#[test]
fn the_replica_is_the_oracles() {
    for (function, applied) in [(dense("gelu"), Applied::dense("gelu")), (gated("swiglu"), Applied::gated("swiglu"))] {
        let case = Case::new(function, SIZES, true);
        let weights = Weights::random(applied, F32, SIZES[1], SIZES[2], true);
        let truths = case.truth();
        let names = ["dx"].into_iter().chain(case.layer.layer().named().into_iter().map(|(name, _)| name));
        let own = names.map(|name| &truths[name]).chain([&truths["y"]]);
        for (own, oracle) in own.zip(weights.gradients(&case.x, &case.dy).into_iter().chain([weights.truth(&case.x)])) {
            assert_eq!(own.len(), oracle.len());
            assert!(own.iter().zip(oracle).all(|(own, oracle)| (own.value - oracle.value).abs() <= 1e-12 * oracle.terms));
        }
    }
}

#[test]
fn dropout_is_shared_by_both_passes() {
    for function in [dense("gelu"), gated("swiglu"), gated("swiglu_oai")] {
        // Of odd sizes, hidden is walked element by element.
        for (sizes, residual) in [(SIZES, true), ([3, 7, 9], false)] {
            let counter = Counter::new(gpu(), 0).unwrap();
            let mut seen = Vec::new();
            for count in [4, 5] {
                let mut case = Case::new(function.clone(), sizes, true).dropped(0.3, &counter, count);
                case.replica.residual = residual;
                counter.set(gpu(), count);
                let written = case.check(&HOW);
                same(&written[1], &written[2], &format!("{function:?}, count {count}"));
                same(&written[0], &written[1], &format!("{function:?}, count {count}"));
                seen.extend(written.into_iter().take(1));
            }
            assert_ne!(seen[0], seen[1], "the count changed, the gradients did not");
        }
    }
}

#[test]
fn parameters_are_learned_through_a_layer() {
    let counter = Counter::new(gpu(), 6).unwrap();
    for function in [dense("prelu"), dense("swish"), dense("elu"), dense("xielu"), dense("rational"), gated("swiglu_beta"), gated("prelu")]
    {
        for channels in [1, SIZES[2]] {
            let case = Case::new(function.clone(), SIZES, false).learned(channels);
            assert!(case.truth()["parameters"].len() == channels * function.learnable_len());
            let written = case.check(&HOW);
            same(&written[0], &written[1], &format!("{function:?}"));
            same(&written[0], &written[2], &format!("{function:?}"));
        }
        // Everything at once.
        let mut case = Case::new(function.clone(), SIZES, true).learned(1).dropped(0.5, &counter, 6);
        (case.accumulate, case.replica.residual) = (true, true);
        case.check(&HOW);
    }
}

#[test]
fn a_users_function_is_trained_like_any_other() {
    let counter = Counter::new(gpu(), 6).unwrap();
    for function in [Function::Activation(subject::custom()), Function::Gate(Gate::Of(subject::custom()))] {
        let written = Case::new(function.clone(), SIZES, true).check(&HOW);
        same(&written[0], &written[1], "a user's function");
        same(&written[0], &written[2], "a user's function");
        Case::new(function, SIZES, true).dropped(0.5, &counter, 6).check(&HOW);
    }
}

/// A layer bound with a workspace for these layers and tokens.
fn bound(layer: &FeedForward, dx: Element, [used, made]: [Policy; 2], workspace: (&FeedForward, usize, Element)) -> Result<u64, Error> {
    let (of, tokens, kind) = workspace;
    let workspace = Workspace::new(&[of], tokens, made, kind)?;
    let tensor = |element| gpu().zeros(&[4, layer.d_model()], element).unwrap();
    let (x, y, dy, dx, gradients) = (tensor(F32), tensor(F32), tensor(F32), tensor(dx), layer.gradients()?);
    let backward = FeedForwardBackward { dx: Some(&dx), ..FeedForwardBackward::new(&x, &dy, &gradients) };
    Ok(layer.train(FeedForwardTraining { y: &y, backward, policy: used, workspace: &workspace })?.kept_bytes())
}

#[test]
fn a_workspace_must_have_room() {
    for function in [dense("gelu"), gated("swiglu")] {
        let make = |d_model, d_ff| Case::new(function.clone(), [4, d_model, d_ff], true).layer;
        let (layer, small, wide) = (make(8, 12), make(8, 8), make(8, 16));
        let is_gated = layer.is_gated();
        for policy in Policy::ALL {
            let kept = if policy == Policy::Keep { 4 * 12 * 4 * (1 + u64::from(is_gated)) } else { 0 };
            let bound = |dx, workspace| bound(&layer, dx, [policy; 2], workspace);
            // As made, and with more than is needed.
            assert_eq!(bound(F32, (&layer, 4, F32)).unwrap(), kept);
            assert_eq!(bound(Bf16, (&wide, 9, F16)).unwrap(), kept);
            let error = bound(F32, (&layer, 3, F32)).unwrap_err();
            assert!(matches!(error, Error::Limit { what: "tokens of a workspace", required: 4, allowed: 3 }), "{error}");
            let error = bound(F32, (&small, 4, F32)).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
            match bound(F16, (&layer, 4, F32)) {
                Ok(_) => assert!(!is_gated, "{policy:?}"),
                Err(error) => assert!(is_gated && matches!(error, Error::Kind { operand: "dx", actual: F16, .. }), "{error}"),
            }
        }
        // What is kept has no room in a workspace for those who do; the other way about there is more than is needed.
        let error = bound(&layer, F32, [Policy::Recompute, Policy::Keep], (&layer, 4, F32)).unwrap_err();
        assert!(matches!(error, Error::Limit { what: "pre-activations of a workspace", allowed: 0, .. }), "{error}");
        bound(&layer, F32, [Policy::Keep, Policy::Recompute], (&layer, 4, F32)).unwrap();
    }
    let (none, f16) = (Workspace::new(&[], 4, Policy::Keep, F32), Case::new(dense("gelu"), SIZES, false).layer.with_hidden(F16));
    assert!(matches!(none.unwrap_err(), Error::Shape { operand: "layers", .. }));
    let mixed = Workspace::new(&[&f16, &f16.clone().with_hidden(F32)], 4, Policy::Keep, F32);
    assert!(matches!(mixed.unwrap_err(), Error::Kind { operand: "hidden", .. }));
}

/// Backward reads x and dy after y was written.
#[test]
fn y_stays_off_what_backward_reads() {
    let layer = Case::new(dense("gelu"), [4, 8, 12], false).layer;
    let workspace = Workspace::new(&[&layer], 4, Policy::Keep, F32).unwrap();
    let tensor = || gpu().zeros(&[4, 8], F32).unwrap();
    let (x, dy, gradients) = (tensor(), tensor(), layer.gradients().unwrap());
    let (weight, gradient) = (layer.layer().weights()[0].plain().unwrap(), gradients.weights()[1].plain().unwrap());
    let (weight, gradient) = (weight.reshape(&[12, 8]).unwrap(), gradient.reshape(&[12, 8]).unwrap());
    let (weight, gradient) = (weight.view(0, &[4, 8]).unwrap(), gradient.view(0, &[4, 8]).unwrap());
    for (name, y) in [("x", &x), ("dy", &dy), ("a weight", &weight), ("gradient of a weight", &gradient)] {
        let backward = FeedForwardBackward::new(&x, &dy, &gradients);
        let error = layer.train(FeedForwardTraining { y, backward, policy: Policy::Keep, workspace: &workspace }).unwrap_err();
        assert!(matches!(error, Error::Alias { input, output: "y" } if input == name), "{error}");
    }
}
