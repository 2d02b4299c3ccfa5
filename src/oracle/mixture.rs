//! Mixtures of experts in f64, forward and backward, token by token: y = sum over the chosen experts e of w_e FFN_e(x)
//! (Shazeer et al. 2017, arXiv:1701.06538; Jiang et al. 2024, Mixtral of Experts, arXiv:2401.04088, section 2.1), plus an
//! expert that every token goes through, under a sigmoid of its own where it has one (Qwen2-MoE, arXiv:2407.10671).

use super::backward::{GatedGradients, outer, product, sum, sums, through, through_gated};
use super::feed_forward::{Bounded, GatedWeights, activated, exact, linear, through_layers};
use super::routing::{Routed, route, route_backward, slope};
use crate::activation::Activation;
use crate::gate::Gate;
use crate::routing::Routing;

/// A mixture's weights.
#[derive(Debug, Clone)]
pub struct MixtureWeights<'a> {
    /// How experts are chosen.
    pub routing: Routing,
    /// `[experts, d_model]`.
    pub router: &'a [f32],
    /// `[experts]`.
    pub router_bias: Option<&'a [f32]>,
    /// `[experts]`.
    pub choice_bias: Option<&'a [f32]>,
    /// At least one, all of the same sizes.
    pub experts: Vec<GatedWeights<'a>>,
    /// The experts' gate.
    pub gate: Gate,
    /// An expert that every token goes through.
    pub shared: Option<SharedWeights<'a>>,
}

/// An expert that every token goes through.
#[derive(Debug, Clone)]
pub struct SharedWeights<'a> {
    /// Its layer; d_ff is its own.
    pub weights: GatedWeights<'a>,
    /// Its gate.
    pub gate: Gate,
    /// `[d_model]`: its output is multiplied by the sigmoid of x times this.
    pub sigmoid: Option<&'a [f32]>,
}

/// A mixture's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// `[tokens, d_model]`. An f32 result is fair within `c * (d_model + d_ff + experts) * 2^-24 * terms`, as of [`Bounded`],
    /// if it went to the same experts.
    pub y: Vec<Bounded>,
    /// Where each token went.
    pub routed: Vec<Routed>,
}

/// Gradients of a mixture, bounded likewise, with the tokens counted in.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureGradients {
    /// `[tokens, d_model]`.
    pub x: Vec<Bounded>,
    /// `[experts, d_model]`.
    pub router: Vec<Bounded>,
    /// `[experts]`.
    pub router_bias: Vec<Bounded>,
    /// Of each expert's weights; `x` is of the tokens that went there.
    pub experts: Vec<GatedGradients>,
    /// Of the shared expert's weights, and of its sigmoid's.
    pub shared: Option<(GatedGradients, Vec<Bounded>)>,
}

/// The shared expert's share of a sum.
struct Shared {
    /// Before its sigmoid.
    y: Vec<Bounded>,
    /// What the sigmoid is of, and the sigmoid: of each token.
    sigmoid: Option<(Vec<Bounded>, Vec<Bounded>)>,
}

impl MixtureWeights<'_> {
    fn d_model(&self) -> usize {
        self.experts[0].d_model
    }

    fn routed(&self, x: &[Bounded], tokens: usize) -> Vec<Routed> {
        let (d_model, experts) = (self.d_model(), self.experts.len());
        let logits = linear(x, tokens, d_model, self.router, self.router_bias, experts);
        logits.chunks(experts).map(|logits| route(&self.routing, logits.to_vec(), d_model, self.choice_bias)).collect()
    }

    fn shared(&self, x: &[Bounded], tokens: usize) -> Option<Shared> {
        let shared = self.shared.as_ref()?;
        let sigmoid = shared.sigmoid.map(|weight| {
            let logits = linear(x, tokens, self.d_model(), weight, None, 1);
            let sigmoids = logits.iter().map(|logit| activated(&Activation::Sigmoid, *logit, self.d_model())).collect();
            (logits, sigmoids)
        });
        Some(Shared { y: through_layers(x, tokens, &shared.weights, &shared.gate), sigmoid })
    }
}

/// The tokens that go to `expert`, each with the place of that among its choices.
fn visitors(routed: &[Routed], expert: usize) -> Vec<(usize, usize)> {
    let place = |(token, routed): (usize, &Routed)| Some((token, routed.experts.iter().position(|chosen| *chosen == expert)?));
    routed.iter().enumerate().filter_map(place).collect()
}

fn rows(of: &[Bounded], width: usize, visitors: &[(usize, usize)]) -> Vec<Bounded> {
    visitors.iter().flat_map(|(token, _)| of[token * width..][..width].to_vec()).collect()
}

fn add(to: &mut Bounded, more: Bounded) {
    to.value += more.value;
    to.terms += more.terms;
}

/// A mixture of `tokens` finite rows.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn mixture(x: &[f32], tokens: usize, weights: &MixtureWeights<'_>) -> Mixed {
    let (x, d_model) = (exact(x), weights.d_model());
    let routed = weights.routed(&x, tokens);
    let mut y = vec![Bounded { value: 0.0, terms: 0.0 }; tokens * d_model];
    for (number, expert) in weights.experts.iter().enumerate() {
        let visitors = visitors(&routed, number);
        let out = through_layers(&rows(&x, d_model, &visitors), visitors.len(), expert, &weights.gate);
        for ((token, choice), out) in visitors.iter().zip(out.chunks(d_model)) {
            for (column, out) in out.iter().enumerate() {
                add(&mut y[token * d_model + column], product(*out, routed[*token].weights[*choice]));
            }
        }
    }
    if let Some(Shared { y: out, sigmoid }) = weights.shared(&x, tokens) {
        for (i, out) in out.iter().enumerate() {
            add(&mut y[i], sigmoid.as_ref().map_or(*out, |(_, sigmoid)| product(*out, sigmoid[i / d_model])));
        }
    }
    Mixed { y, routed }
}

/// Gradients of `sum(dy * mixture(x))`. Which experts are chosen has none.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
#[must_use]
pub fn mixture_backward(x: &[f32], dy: &[f32], tokens: usize, weights: &MixtureWeights<'_>) -> MixtureGradients {
    let (x, dy, d_model) = (exact(x), exact(dy), weights.d_model());
    let (count, top_k) = (weights.experts.len(), weights.routing.top_k);
    let routed = weights.routed(&x, tokens);
    let zero = Bounded { value: 0.0, terms: 0.0 };
    let (mut dx, mut dweights) = (vec![zero; tokens * d_model], vec![zero; tokens * top_k]);
    let dot = |a: &[Bounded], b: &[Bounded]| sum(a.iter().zip(b).map(|(a, b)| product(*a, *b)));
    let mut experts = Vec::with_capacity(count);
    for (number, expert) in weights.experts.iter().enumerate() {
        let visitors = visitors(&routed, number);
        let (own_x, own_dy) = (rows(&x, d_model, &visitors), rows(&dy, d_model, &visitors));
        let out = through_layers(&own_x, visitors.len(), expert, &weights.gate);
        let weight = |i: usize| routed[visitors[i].0].weights[visitors[i].1];
        let dout: Vec<_> = own_dy.iter().enumerate().map(|(i, dy)| product(*dy, weight(i / d_model))).collect();
        let gradients = through_gated(&own_x, &dout, visitors.len(), expert, &weights.gate);
        for (i, (token, choice)) in visitors.iter().enumerate() {
            let row = i * d_model..(i + 1) * d_model;
            dweights[token * top_k + choice] = dot(&own_dy[row.clone()], &out[row.clone()]);
            for (column, own) in gradients.x[row].iter().enumerate() {
                add(&mut dx[token * d_model + column], *own);
            }
        }
        experts.push(gradients);
    }
    let routes = routed.iter().zip(dweights.chunks(top_k));
    let dlogits: Vec<_> = routes.flat_map(|(routed, dw)| route_backward(&weights.routing, routed, d_model, dw)).collect();
    for (dx, own) in dx.iter_mut().zip(through(&dlogits, tokens, count, weights.router, d_model)) {
        add(dx, own);
    }
    let shared = weights.shared.as_ref().zip(weights.shared(&x, tokens)).map(|(own, Shared { y, sigmoid })| {
        let factor = |token: usize| sigmoid.as_ref().map(|(_, sigmoid)| sigmoid[token]);
        let dout: Vec<_> = dy.iter().enumerate().map(|(i, dy)| factor(i / d_model).map_or(*dy, |factor| product(*dy, factor))).collect();
        let gradients = through_gated(&x, &dout, tokens, &own.weights, &own.gate);
        for (dx, own) in dx.iter_mut().zip(&gradients.x) {
            add(dx, *own);
        }
        let dsigmoid = own.sigmoid.zip(sigmoid).map(|(weight, (logits, _))| {
            let of = |token: usize| token * d_model..(token + 1) * d_model;
            let dlogit = |(token, logit): (usize, &Bounded)| product(dot(&dy[of(token)], &y[of(token)]), slope(*logit, d_model));
            let dlogits: Vec<_> = logits.iter().enumerate().map(dlogit).collect();
            for (dx, own) in dx.iter_mut().zip(through(&dlogits, tokens, 1, weight, d_model)) {
                add(dx, own);
            }
            outer(&dlogits, 1, &x, d_model, tokens)
        });
        (gradients, dsigmoid.unwrap_or_default())
    });
    MixtureGradients { router: outer(&dlogits, count, &x, d_model, tokens), router_bias: sums(&dlogits, count), x: dx, experts, shared }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Scoring;

    const TOKENS: usize = 4;
    const D_MODEL: usize = 3;
    const D_FF: usize = 2;
    const EXPERTS: usize = 3;
    /// Exact in f32, and large enough for its square to vanish beside f64's rounding.
    const STEP: f32 = 1.0 / 4096.0;

    /// Multiples of 1/64, so that a step away from them is exact too.
    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::accuracy::Random::new(seed);
        (0..len).map(|_| random.uniform(-64.0, 64.0).round() / 64.0).collect()
    }

    /// Of x, router, its bias, gate, up, their biases, down, its bias (all experts one after the other); of the shared expert
    /// gate, up, down; its sigmoid.
    const LENGTHS: [usize; 13] = [
        TOKENS * D_MODEL,
        EXPERTS * D_MODEL,
        EXPERTS,
        EXPERTS * D_FF * D_MODEL,
        EXPERTS * D_FF * D_MODEL,
        EXPERTS * D_FF,
        EXPERTS * D_FF,
        EXPERTS * D_MODEL * D_FF,
        EXPERTS * D_MODEL,
        D_FF * D_MODEL,
        D_FF * D_MODEL,
        D_MODEL * D_FF,
        D_MODEL,
    ];

    fn layer(t: &[Vec<f32>], routing: Routing) -> MixtureWeights<'_> {
        fn part(of: &[f32], e: usize, len: usize) -> &[f32] {
            &of[e * len..(e + 1) * len]
        }
        let experts = (0..EXPERTS).map(|e| GatedWeights {
            d_model: D_MODEL,
            d_ff: D_FF,
            w_gate: part(&t[3], e, D_FF * D_MODEL),
            b_gate: Some(part(&t[5], e, D_FF)),
            w_up: part(&t[4], e, D_FF * D_MODEL),
            b_up: Some(part(&t[6], e, D_FF)),
            w_down: part(&t[7], e, D_MODEL * D_FF),
            b_down: Some(part(&t[8], e, D_MODEL)),
        });
        let shared = GatedWeights {
            w_gate: &t[9],
            w_up: &t[10],
            w_down: &t[11],
            b_gate: None,
            b_up: None,
            b_down: None,
            ..experts.clone().next().unwrap()
        };
        let gate = Gate::parse("swiglu").unwrap();
        MixtureWeights {
            routing,
            router: &t[1],
            router_bias: Some(&t[2]),
            choice_bias: None,
            experts: experts.collect(),
            gate: gate.clone(),
            shared: Some(SharedWeights { weights: shared, gate, sigmoid: Some(&t[12]) }),
        }
    }

    #[test]
    fn gradients_are_differences() {
        let dy = numbers(TOKENS * D_MODEL, 1);
        let tensors: Vec<_> = LENGTHS.into_iter().zip(2..).map(|(len, seed)| numbers(len, seed)).collect();
        let sigmoid = Routing { scoring: Scoring::Sigmoid, top_k: 2, normalise: true, scale: 2.5 };
        for routing in [Routing::softmax(2), Routing::softmax(2).unnormalised(), sigmoid] {
            let loss = |t: &[Vec<f32>]| -> f64 {
                mixture(&t[0], TOKENS, &layer(t, routing)).y.iter().zip(&dy).map(|(y, dy)| y.value * f64::from(*dy)).sum()
            };
            let g = mixture_backward(&tensors[0], &dy, TOKENS, &layer(&tensors, routing));
            let all = |of: fn(&GatedGradients) -> &Vec<Bounded>| g.experts.iter().flat_map(|e| of(e).clone()).collect();
            let (shared, dsigmoid) = g.shared.clone().unwrap();
            let gradients: [Vec<Bounded>; 13] = [
                g.x.clone(),
                g.router.clone(),
                g.router_bias.clone(),
                all(|e| &e.w_gate),
                all(|e| &e.w_up),
                all(|e| &e.b_gate),
                all(|e| &e.b_up),
                all(|e| &e.w_down),
                all(|e| &e.b_down),
                shared.w_gate,
                shared.w_up,
                shared.w_down,
                dsigmoid,
            ];
            for (t, gradient) in gradients.iter().enumerate() {
                assert_eq!(gradient.len(), tensors[t].len());
                for (i, exact) in gradient.iter().enumerate() {
                    let at = |step: f32| {
                        let mut moved = tensors.clone();
                        moved[t][i] += step;
                        loss(&moved)
                    };
                    let difference = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
                    assert!((difference - exact.value).abs() < 1e-6 * (1.0 + exact.terms), "{t} {i}: {difference} for {exact:?}");
                    assert!(exact.terms >= exact.value.abs());
                }
            }
        }
    }

    #[test]
    fn one_expert_is_a_layer() {
        let tensors: Vec<_> = LENGTHS.into_iter().zip(2..).map(|(len, seed)| numbers(len, seed)).collect();
        let whole = layer(&tensors, Routing::softmax(1));
        let one = MixtureWeights {
            router: &whole.router[..D_MODEL],
            router_bias: None,
            experts: whole.experts[..1].to_vec(),
            shared: None,
            ..whole
        };
        let y = mixture(&tensors[0], TOKENS, &one).y;
        let want = crate::oracle::gated(&tensors[0], TOKENS, &one.experts[0], &one.gate);
        assert!(y.iter().zip(&want).all(|(y, want)| (y.value - want.value).abs() < 1e-15 * want.terms));
    }
}
