//! Routers of mixtures of experts in f64: which experts a token goes to, with what weights, and the gradients of these
//! (Shazeer et al. 2017, arXiv:1701.06538, section 2.1; DeepSeek-V3, arXiv:2412.19437, section 2.1.2).

use super::backward::{product, sum};
use super::feed_forward::{Bounded, activated, rounding, strayed};
use super::{derivative, derivative_terms};
use crate::activation::Activation;
use crate::routing::{Routing, Scoring};

/// Where one token goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed {
    /// Of every expert.
    pub logits: Vec<Bounded>,
    /// The chosen ones, the best first.
    pub experts: Vec<usize>,
    /// Their weights.
    pub weights: Vec<Bounded>,
    /// Whether f32 arithmetic within the bounds of the logits must make the same choice in the same order.
    pub clear: bool,
}

/// The choice among `logits`, each the sum of `length` products. `choice_bias` is added to the scores for the choice alone.
///
/// # Panics
/// Where there are fewer experts than are chosen, or another number of biases.
#[must_use]
pub fn route(routing: &Routing, logits: Vec<Bounded>, length: usize, choice_bias: Option<&[f32]>) -> Routed {
    assert!(routing.top_k <= logits.len(), "experts of a token");
    // Scores rise with their logits.
    let keys = choice_bias.map_or_else(
        || logits.clone(),
        |bias| {
            assert_eq!(bias.len(), logits.len(), "length of a bias");
            let biased = scores(routing.scoring, &logits, length).into_iter().zip(bias);
            biased.map(|(s, b)| Bounded { value: s.value + f64::from(*b), terms: s.terms + f64::from(b.abs()) }).collect()
        },
    );
    let mut order: Vec<_> = (0..keys.len()).collect();
    // Stable: of equal keys, the lower number comes first.
    order.sort_by(|a, b| keys[*b].value.total_cmp(&keys[*a].value));
    let reach = |key: Bounded| rounding(length + keys.len() + 8) * key.terms;
    let apart = |pair: &[usize]| keys[pair[0]].value - keys[pair[1]].value > reach(keys[pair[0]]) + reach(keys[pair[1]]);
    let clear = order.windows(2).take(routing.top_k).all(apart);
    order.truncate(routing.top_k);
    let weights = weights(routing, &logits, &order, length);
    Routed { logits, experts: order, weights, clear }
}

fn scores(scoring: Scoring, logits: &[Bounded], length: usize) -> Vec<Bounded> {
    match scoring {
        Scoring::Softmax => softmax(logits),
        Scoring::Sigmoid => logits.iter().map(|logit| activated(&Activation::Sigmoid, *logit, length)).collect(),
    }
}

/// exp(l) / sum(exp(l)); the derivative of share i by logit j is `p_i (i = j) - p_i p_j`.
fn softmax(logits: &[Bounded]) -> Vec<Bounded> {
    let largest = logits.iter().map(|logit| logit.value).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<_> = logits.iter().map(|logit| libm::exp(logit.value - largest)).collect();
    let total: f64 = powers.iter().sum();
    let mean: f64 = powers.iter().zip(logits).map(|(power, logit)| power / total * logit.terms).sum();
    let share = |(power, logit): (&f64, &Bounded)| Bounded { value: power / total, terms: power / total * (1.0 + logit.terms + mean) };
    powers.iter().zip(logits).map(share).collect()
}

/// 1 / sum.
fn inverse(of: &[Bounded]) -> Bounded {
    let total = sum(of.iter().copied());
    Bounded { value: 1.0 / total.value, terms: (1.0 + total.terms / total.value) / total.value }
}

fn scaled(by: f32, v: Bounded) -> Bounded {
    Bounded { value: v.value * f64::from(by), terms: v.terms * f64::from(by.abs()) }
}

fn weights(routing: &Routing, logits: &[Bounded], experts: &[usize], length: usize) -> Vec<Bounded> {
    let pick = |of: &[Bounded]| -> Vec<_> { experts.iter().map(|expert| of[*expert]).collect() };
    let weights = match (routing.scoring, routing.normalise) {
        // The sum of all powers cancels.
        (Scoring::Softmax, true) => softmax(&pick(logits)),
        (scoring, normalise) => {
            let chosen = pick(&scores(scoring, logits, length));
            if normalise { chosen.iter().map(|score| product(*score, inverse(&chosen))).collect() } else { chosen }
        }
    };
    weights.into_iter().map(|weight| scaled(routing.scale, weight)).collect()
}

/// The gradients of a token's logits from those of its weights.
#[must_use]
pub fn route_backward(routing: &Routing, routed: &Routed, length: usize, dweights: &[Bounded]) -> Vec<Bounded> {
    let Routed { logits, experts, .. } = routed;
    let dweights: Vec<_> = dweights.iter().map(|dweight| scaled(routing.scale, *dweight)).collect();
    let minus = |a: Bounded, b: Bounded| Bounded { value: a.value - b.value, terms: a.terms + b.terms };
    let zero = Bounded { value: 0.0, terms: 0.0 };
    let mut dlogits = vec![zero; logits.len()];
    let mean = |shares: &[Bounded]| sum(dweights.iter().zip(shares).map(|(dweight, share)| product(*dweight, *share)));
    let chosen: Vec<_> = experts.iter().map(|expert| logits[*expert]).collect();
    match (routing.scoring, routing.normalise) {
        (Scoring::Softmax, true) => {
            let shares = softmax(&chosen);
            let mean = mean(&shares);
            for ((expert, share), dweight) in experts.iter().zip(&shares).zip(&dweights) {
                dlogits[*expert] = product(minus(*dweight, mean), *share);
            }
        }
        (Scoring::Softmax, false) => {
            let shares = softmax(logits);
            let mean = mean(&experts.iter().map(|expert| shares[*expert]).collect::<Vec<_>>());
            for (expert, share) in shares.iter().enumerate() {
                let dweight = experts.iter().position(|chosen| *chosen == expert).map_or(zero, |choice| dweights[choice]);
                dlogits[expert] = product(minus(dweight, mean), *share);
            }
        }
        (Scoring::Sigmoid, normalise) => {
            let scores = scores(Scoring::Sigmoid, &chosen, length);
            let share = if normalise { inverse(&scores) } else { Bounded { value: 1.0, terms: 1.0 } };
            let shares: Vec<_> = scores.iter().map(|score| product(*score, share)).collect();
            let mean = if normalise { mean(&shares) } else { zero };
            for ((expert, logit), dweight) in experts.iter().zip(&chosen).zip(&dweights) {
                dlogits[*expert] = product(product(minus(*dweight, mean), share), slope(*logit, length));
            }
        }
    }
    dlogits
}

/// The derivative of the logistic function.
pub(super) fn slope(logit: Bounded, length: usize) -> Bounded {
    let sigmoid = Activation::Sigmoid;
    let terms = derivative_terms(&sigmoid, logit.value) + strayed(logit, length, |z| derivative(&sigmoid, z));
    Bounded { value: derivative(&sigmoid, logit.value), terms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(logits: &[f64]) -> Vec<Bounded> {
        logits.iter().map(|l| Bounded { value: *l, terms: l.abs() }).collect()
    }

    fn values(of: &[Bounded]) -> Vec<f64> {
        of.iter().map(|v| v.value).collect()
    }

    const ROUTINGS: [Routing; 4] = [
        Routing::softmax(2),
        Routing::softmax(2).unnormalised(),
        Routing { scoring: Scoring::Sigmoid, top_k: 2, normalise: true, scale: 2.5 },
        Routing { scoring: Scoring::Sigmoid, top_k: 3, normalise: false, scale: 1.0 },
    ];

    #[test]
    fn choices_by_hand() {
        let ln = |v: f64| v.ln();
        let logits = exact(&[ln(1.0), ln(4.0), ln(2.0), ln(1.0)]);
        let routed = route(&Routing::softmax(2), logits.clone(), 1, None);
        assert_eq!((routed.experts.as_slice(), routed.clear), ([1, 2].as_slice(), true));
        assert!(values(&routed.weights).iter().zip([2.0 / 3.0, 1.0 / 3.0]).all(|(w, want)| (w - want).abs() < 1e-15));
        let routed = route(&ROUTINGS[1], logits.clone(), 1, None);
        assert!(values(&routed.weights).iter().zip([0.5, 0.25]).all(|(w, want)| (w - want).abs() < 1e-15));
        // Sigmoids are 1/2, 4/5, 2/3, 1/2; a bias chooses, but weighs nothing. Equal ones go by number, which is not clear.
        let routed = route(&ROUTINGS[2], logits.clone(), 1, Some(&[1.0, 0.0, 0.0, 0.5]));
        assert_eq!(routed.experts, [0, 3]);
        assert!(values(&routed.weights).iter().all(|w| (w - 1.25).abs() < 1e-15));
        assert!(!route(&Routing::softmax(3), logits, 1, None).clear);
    }

    #[test]
    fn gradients_are_differences() {
        let logits = [0.3, -1.2, 0.9, 2.0, -0.4];
        let dweights = [0.7, -1.1, 0.4];
        for routing in ROUTINGS {
            let routed = route(&routing, exact(&logits), 1, None);
            let dlogits = route_backward(&routing, &routed, 1, &exact(&dweights[..routing.top_k]));
            for i in 0..logits.len() {
                let loss = |step: f64| -> f64 {
                    let mut moved = logits;
                    moved[i] += step;
                    let routed = route(&routing, exact(&moved), 1, None);
                    routed.weights.iter().zip(dweights).map(|(w, d)| w.value * d).sum()
                };
                let difference = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                assert!((difference - dlogits[i].value).abs() < 1e-9, "{routing:?} {i}: {difference} {:?}", dlogits[i]);
                assert!(dlogits[i].terms >= dlogits[i].value.abs());
            }
        }
    }
}
