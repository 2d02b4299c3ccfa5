//! Mixtures of experts with given or random weights, on the host and on a device.

use ffwd::accuracy::Sample;
use ffwd::nn::{BoundMixture, Mixture, MixtureLayer, SharedExpert};
use ffwd::oracle::{self, Bounded, GatedGradients, GatedWeights, Mixed};
use ffwd::routing::{Routing, Scoring};
use ffwd::weights::{FeedForwardWeights, HostTensor, HostWeight, MixtureWeights};
use ffwd::{Element, Gate, Gpu, Tensor};

use super::layer::{self, Function, small};
use super::{Guarded, half_unit, judge, numbers, sum_bound};

/// Units that an activation or gate may be off.
const FUNCTION_ULP: f64 = 4.5;

/// A mixture's numbers, exact in their kinds.
#[derive(Clone)]
pub struct Weights {
    pub routing: Routing,
    pub gate: Gate,
    /// Of the experts' weights and biases; the router is f32.
    pub element: Element,
    pub experts: usize,
    pub d_model: usize,
    pub d_ff: usize,
    pub router: Vec<f32>,
    pub router_bias: Option<Vec<f32>>,
    pub choice_bias: Option<Vec<f32>>,
    /// Gate, up, down.
    pub matrices: [Vec<f32>; 3],
    pub biases: Option<[Vec<f32>; 3]>,
    pub shared: Option<(layer::Weights, Option<Vec<f32>>)>,
}

pub const SIGMOID: Routing = Routing { scoring: Scoring::Sigmoid, top_k: 2, normalise: true, scale: 2.5 };

impl Weights {
    /// Numbers small enough that hidden values stay where activations bend; no biases, nothing shared.
    pub fn random(routing: Routing, gate: &str, element: Element, [experts, d_model, d_ff]: [usize; 3]) -> Self {
        let some = |len, seed| small(element, len, seed);
        let matrices = [some(experts * d_ff * d_model, 41), some(experts * d_ff * d_model, 42), some(experts * d_model * d_ff, 43)];
        Self {
            routing,
            gate: Gate::parse(gate).unwrap(),
            element,
            experts,
            d_model,
            d_ff,
            router: numbers(Element::F32, experts * d_model, 44).iter().map(|v| v / 4.0).collect(),
            router_bias: None,
            choice_bias: None,
            matrices,
            biases: None,
            shared: None,
        }
    }

    /// With biases everywhere but on the choice.
    pub fn biased(self) -> Self {
        let some = |len, seed| small(self.element, len, seed);
        let biases = [some(self.experts * self.d_ff, 45), some(self.experts * self.d_ff, 46), some(self.experts * self.d_model, 47)];
        Self { router_bias: Some(numbers(Element::F32, self.experts, 48)), biases: Some(biases), ..self }
    }

    /// With a bias on the choice that changes it.
    pub fn choosing(self) -> Self {
        let bias = numbers(Element::F32, self.experts, 49).iter().map(|v| v / 8.0).collect();
        Self { choice_bias: Some(bias), ..self }
    }

    /// With a shared expert, half as wide again as the others.
    pub fn sharing(self, sigmoid: bool) -> Self {
        let shared = layer::Weights::random(
            Function::Gated(self.gate.clone()),
            self.element,
            self.d_model,
            self.d_ff * 3 / 2 + 1,
            self.biases.is_some(),
        );
        let sigmoid = sigmoid.then(|| small(Element::F32, self.d_model, 50));
        Self { shared: Some((shared, sigmoid)), ..self }
    }

    /// On the device; weights start `offset` elements off the alignment.
    pub fn upload(&self, gpu: &Gpu, offset: usize) -> Mixture {
        let Self { experts, d_model, d_ff, .. } = *self;
        let tensor = |values: &[f32], shape: &[usize], element| Guarded::holding(gpu, values, shape, element, offset).tensor;
        let own = |values: &[f32], shape: &[usize]| tensor(values, shape, self.element);
        let bias = |k: usize, width: usize| self.biases.as_ref().map(|biases| own(&biases[k], &[experts, width]));
        let exact = |values: &Option<Vec<f32>>| values.as_ref().map(|values| tensor(values, &[experts], Element::F32));
        let shared = self.shared.as_ref().map(|(shared, sigmoid)| SharedExpert {
            layer: shared.upload(gpu, offset).layer().clone(),
            gate: sigmoid.as_ref().map(|weight| tensor(weight, &[1, d_model], Element::F32)),
        });
        let layer = MixtureLayer {
            routing: self.routing,
            router: tensor(&self.router, &[experts, d_model], Element::F32),
            router_bias: exact(&self.router_bias),
            choice_bias: exact(&self.choice_bias),
            gate: self.gate.clone(),
            w_gate: own(&self.matrices[0], &[experts, d_ff, d_model]).into(),
            w_up: own(&self.matrices[1], &[experts, d_ff, d_model]).into(),
            biases: bias(0, d_ff).zip(bias(1, d_ff)),
            w_down: own(&self.matrices[2], &[experts, d_model, d_ff]).into(),
            b_down: bias(2, d_model),
            shared,
        };
        Mixture::new(gpu, layer).unwrap()
    }

    /// As a file's reader hands them over.
    pub fn on_host(&self) -> MixtureWeights {
        let Self { experts, d_model, d_ff, .. } = *self;
        let tensor = |values: &[f32], shape: &[usize]| HostTensor::new(shape, self.element, values).unwrap();
        let weight = |values: &[f32], shape: &[usize]| HostWeight::Plain(tensor(values, shape));
        let exact = |values: &Option<Vec<f32>>, shape: &[usize]| {
            values.as_ref().map(|values| HostTensor::new(shape, Element::F32, values).unwrap())
        };
        let bias = |k: usize, width: usize| self.biases.as_ref().map(|biases| tensor(&biases[k], &[experts, width]));
        let shared = self.shared.as_ref().map(|(shared, _)| FeedForwardWeights::Gated {
            w_gate: weight(&shared.first, &[shared.d_ff, d_model]),
            b_gate: None,
            w_up: weight(&shared.up, &[shared.d_ff, d_model]),
            b_up: None,
            w_down: weight(&shared.last, &[d_model, shared.d_ff]),
            b_down: None,
            activation: Some(self.gate.name().into()),
        });
        MixtureWeights {
            routing: self.routing,
            router: HostTensor::new(&[experts, d_model], Element::F32, &self.router).unwrap(),
            router_bias: exact(&self.router_bias, &[experts]),
            choice_bias: exact(&self.choice_bias, &[experts]),
            w_gate: weight(&self.matrices[0], &[experts, d_ff, d_model]),
            b_gate: bias(0, d_ff),
            w_up: weight(&self.matrices[1], &[experts, d_ff, d_model]),
            b_up: bias(1, d_ff),
            w_down: weight(&self.matrices[2], &[experts, d_model, d_ff]),
            b_down: bias(2, d_model),
            activation: Some(self.gate.name().into()),
            shared,
            shared_gate: self.shared.as_ref().and_then(|(_, sigmoid)| exact(sigmoid, &[1, d_model])),
        }
    }

    /// For the oracle.
    pub fn truth(&self) -> oracle::MixtureWeights<'_> {
        let Self { d_model, d_ff, .. } = *self;
        fn part(of: &[f32], expert: usize, len: usize) -> &[f32] {
            &of[expert * len..(expert + 1) * len]
        }
        let bias = |expert, k: usize, len| self.biases.as_ref().map(|biases| part(&biases[k], expert, len));
        let expert = |e| GatedWeights {
            d_model,
            d_ff,
            w_gate: part(&self.matrices[0], e, d_ff * d_model),
            b_gate: bias(e, 0, d_ff),
            w_up: part(&self.matrices[1], e, d_ff * d_model),
            b_up: bias(e, 1, d_ff),
            w_down: part(&self.matrices[2], e, d_model * d_ff),
            b_down: bias(e, 2, d_model),
        };
        let shared = |(shared, sigmoid)| -> oracle::SharedWeights<'_> {
            let (shared, sigmoid): (&layer::Weights, &Option<Vec<f32>>) = (shared, sigmoid);
            oracle::SharedWeights { weights: shared.gated(), gate: self.gate.clone(), sigmoid: sigmoid.as_deref() }
        };
        oracle::MixtureWeights {
            routing: self.routing,
            router: &self.router,
            router_bias: self.router_bias.as_deref(),
            choice_bias: self.choice_bias.as_deref(),
            experts: (0..self.experts).map(expert).collect(),
            gate: self.gate.clone(),
            shared: self.shared.as_ref().map(|(layer, sigmoid)| shared((layer, sigmoid))),
        }
    }

    /// The gradients of `sum(dy * y)`: of x, then of every tensor by its name in [`MixtureLayer::named`].
    pub fn gradients(&self, x: &[f32], dy: &[f32]) -> Vec<(String, Vec<Bounded>)> {
        let g = oracle::mixture_backward(x, dy, x.len() / self.d_model, &self.truth());
        let all = |of: fn(&GatedGradients) -> &Vec<Bounded>| g.experts.iter().flat_map(|e| of(e).clone()).collect::<Vec<_>>();
        let mut named = vec![("x", g.x.clone()), ("router", g.router.clone()), ("router_bias", g.router_bias.clone())];
        named.extend([("w_gate", all(|e| &e.w_gate)), ("w_up", all(|e| &e.w_up)), ("w_down", all(|e| &e.w_down))]);
        named.extend([("b_gate", all(|e| &e.b_gate)), ("b_up", all(|e| &e.b_up)), ("b_down", all(|e| &e.b_down))]);
        if let Some((shared, sigmoid)) = g.shared {
            named.extend([("shared_gate", sigmoid), ("shared.w_gate", shared.w_gate), ("shared.w_up", shared.w_up)]);
            named.extend([("shared.w_down", shared.w_down), ("shared.b_gate", shared.b_gate), ("shared.b_up", shared.b_up)]);
            named.push(("shared.b_down", shared.b_down));
        }
        named.into_iter().map(|(name, gradient)| (name.to_owned(), gradient)).collect()
    }

    /// How many roundings a result has: those of all its sums.
    fn roundings(&self) -> usize {
        let shared = self.shared.as_ref().map_or(0, |(shared, _)| shared.d_ff);
        2 * self.d_model + self.d_ff.max(shared) + self.experts + self.routing.top_k + 8
    }

    fn samples(&self, more: usize, element: Element, truths: &[Bounded], actual: &[f32]) -> Vec<Sample> {
        assert_eq!(truths.len(), actual.len());
        let sample = |(truth, actual): (&Bounded, &f32)| {
            let sums = sum_bound(self.roundings() + more, 2.0 * FUNCTION_ULP, truth.terms);
            let rounding = if element == Element::F32 { 0.0 } else { half_unit(element, truth.value) };
            Sample { actual: *actual, truth: truth.value, forgiven: sums + rounding }
        };
        truths.iter().zip(actual).map(sample).collect()
    }

    /// Refuses what is further from the truth than the sums' bound, with `more` terms, and the rounding to `element`.
    pub fn judge(&self, what: &str, more: usize, element: Element, truths: &[Bounded], actual: &[f32]) -> Result<(), String> {
        judge(element, 0.0, &self.samples(more, element, truths, actual), |i| i).map_err(|fault| format!("{what}: {fault}"))
    }

    /// Refuses a choice that is not the truth's, weights and y that are further from it than their bounds.
    pub fn judge_run(&self, truth: &Mixed, element: Element, run: &Run) -> Result<(), String> {
        // A choice that rounding could change would test nothing.
        assert!(truth.routed.iter().all(|routed| routed.clear), "a choice is not clear: other numbers are needed");
        let chosen: Vec<f32> = truth.routed.iter().flat_map(|routed| routed.experts.iter().map(|e| *e as f32)).collect();
        if chosen != run.experts {
            return Err(format!("chose {:?}, not {chosen:?}", run.experts));
        }
        let count = |expert: usize| chosen.iter().filter(|chosen| **chosen == expert as f32).count() as f32;
        let counts: Vec<f32> = (0..self.experts).map(count).collect();
        if counts != run.counts {
            return Err(format!("counted {:?}, not {counts:?}", run.counts));
        }
        let weights: Vec<_> = truth.routed.iter().flat_map(|routed| routed.weights.clone()).collect();
        self.judge("weights", 0, Element::F32, &weights, &run.weights)?;
        self.judge("y", 0, element, &truth.y, &run.y)
    }
}

/// Every router, biases and shared experts.
pub fn forms(element: Element, sizes: [usize; 3]) -> Vec<Weights> {
    let of = |routing, gate| Weights::random(routing, gate, element, sizes);
    vec![
        of(Routing::softmax(3), "swiglu").biased(),
        of(Routing::softmax(2), "swiglu_oai").biased(),
        of(Routing::softmax(2).unnormalised(), "swiglu").sharing(true),
        of(Routing { scale: 1.5, ..Routing::softmax(1) }, "geglu").sharing(false),
        of(SIGMOID, "swiglu").choosing().sharing(false),
        of(Routing { normalise: false, top_k: sizes[0], ..SIGMOID }, "reglu"),
        of(Routing::softmax(2).unnormalised(), "swiglu").choosing().biased().sharing(true),
    ]
}

/// What a mixture answered.
#[derive(Clone, Debug)]
pub struct Run {
    pub y: Vec<f32>,
    pub experts: Vec<f32>,
    pub weights: Vec<f32>,
    pub counts: Vec<f32>,
}

impl Run {
    /// Of a mixture that has run.
    pub fn read(gpu: &Gpu, bound: &BoundMixture, y: Vec<f32>) -> Self {
        let read = |tensor: &Tensor| gpu.read_back(tensor).unwrap();
        Self { y, experts: read(bound.experts()), weights: read(bound.weights()), counts: read(bound.counts()) }
    }

    /// Every number of it.
    pub fn all(&self) -> Vec<f32> {
        [&self.y, &self.experts, &self.weights, &self.counts].into_iter().flatten().copied().collect()
    }
}

/// Runs rows that start `offset` elements off the alignment, as does y, twice; the second run must say the same.
pub fn run(gpu: &Gpu, mixture: &Mixture, x: &[f32], element: Element, offset: usize) -> Result<Run, String> {
    let shape = [x.len() / mixture.d_model(), mixture.d_model()];
    let x = Guarded::holding(gpu, x, &shape, element, offset);
    let y = Guarded::output(gpu, &shape, element, offset);
    let bound = mixture.bind(&x.tensor, &y.tensor).map_err(|error| error.to_string())?;
    let once = || {
        bound.submit(gpu);
        y.check(gpu).map(|y| Run::read(gpu, &bound, y))
    };
    let first = once()?;
    super::same_bits(&once()?.all(), &first.all()).map_err(|fault| format!("the second run: {fault}"))?;
    Ok(first)
}
