//! Every gate and its gradients: the GLU family of Shazeer 2020, arXiv:2002.05202, and gpt-oss's clamped form.

use super::activations::{clamp, derivative, derivative_terms, terms, value};
use crate::activation::Activation;
use crate::gate::Gate;

/// The gate's product at `g` and `u`. A custom activation has no truth here: NaN.
#[must_use]
pub fn gate_value(gate: &Gate, g: f64, u: f64) -> f64 {
    match *gate {
        Gate::Of(ref activation) => value(activation, g) * u,
        Gate::SwiGluOai { alpha, limit } => (clamp(u, -limit, limit) + 1.0) * value(&swish(alpha), clamp(g, f64::NEG_INFINITY, limit)),
    }
}

/// The derivatives with respect to `g` and `u`; those of a clamp are 0 on its edge.
#[must_use]
pub fn gate_gradient(gate: &Gate, g: f64, u: f64) -> (f64, f64) {
    match *gate {
        Gate::Of(ref activation) => (derivative(activation, g) * u, value(activation, g)),
        Gate::SwiGluOai { alpha, limit } => {
            let (inner_g, inner_u) = (clamp(g, f64::NEG_INFINITY, limit), clamp(u, -limit, limit));
            let by_gate = (inner_u + 1.0) * derivative(&swish(alpha), inner_g);
            let by_up = value(&swish(alpha), inner_g);
            (unless(g >= limit, by_gate), unless(u.abs() >= limit, by_up))
        }
    }
}

/// The absolute values of what [`gate_value`] adds up.
#[must_use]
pub fn gate_terms(gate: &Gate, g: f64, u: f64) -> f64 {
    match *gate {
        Gate::Of(ref activation) => terms(activation, g) * u.abs(),
        Gate::SwiGluOai { alpha, limit } => {
            (clamp(u, -limit, limit).abs() + 1.0) * terms(&swish(alpha), clamp(g, f64::NEG_INFINITY, limit))
        }
    }
}

/// The absolute values of what [`gate_gradient`] adds up.
#[must_use]
pub fn gate_gradient_terms(gate: &Gate, g: f64, u: f64) -> (f64, f64) {
    match *gate {
        Gate::Of(ref activation) => (derivative_terms(activation, g) * u.abs(), terms(activation, g)),
        Gate::SwiGluOai { alpha, limit } => {
            let (inner_g, inner_u) = (clamp(g, f64::NEG_INFINITY, limit), clamp(u, -limit, limit));
            let by_gate = (inner_u.abs() + 1.0) * derivative_terms(&swish(alpha), inner_g);
            let by_up = terms(&swish(alpha), inner_g);
            (unless(g >= limit, by_gate), unless(u.abs() >= limit, by_up))
        }
    }
}

/// g sigmoid(alpha g), which gpt-oss writes out.
fn swish(alpha: f64) -> Activation {
    Activation::Swish { beta: alpha }
}

/// 0 where a clamp holds, but NaN stays.
fn unless(held: bool, derivative: f64) -> f64 {
    if held && !derivative.is_nan() { 0.0 } else { derivative }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: f64 = 1e-3;

    /// The five-point central difference of `f` at 0.
    fn difference(f: impl Fn(f64) -> f64) -> f64 {
        (8.0 * (f(H) - f(-H)) - (f(2.0 * H) - f(-2.0 * H))) / (12.0 * H)
    }

    #[test]
    fn gradients_are_those_of_the_value() {
        for gate in Gate::all().chain(Activation::all().map(Gate::Of)) {
            for i in -23..=23 {
                for j in -23..=23 {
                    // Multiples of 0.437 keep clear of every kink.
                    let (g, u) = (0.437 * f64::from(i) + 0.0123, 0.437 * f64::from(j) + 0.0123);
                    let (by_gate, by_up) = gate_gradient(&gate, g, u);
                    let (g_terms, u_terms) = gate_gradient_terms(&gate, g, u);
                    let numeric = difference(|h| gate_value(&gate, g + h, u));
                    assert!((numeric - by_gate).abs() <= 1e-8 * (1.0 + g_terms), "{} by gate at {g} {u}: {numeric} {by_gate}", gate.name());
                    let numeric = difference(|h| gate_value(&gate, g, u + h));
                    assert!((numeric - by_up).abs() <= 1e-8 * (1.0 + u_terms), "{} by up at {g} {u}: {numeric} {by_up}", gate.name());
                    assert!(gate_value(&gate, g, u).abs() <= gate_terms(&gate, g, u) * (1.0 + 1e-15), "{} at {g} {u}", gate.name());
                }
            }
        }
    }

    #[test]
    fn oai_clamps() {
        // 7 sigmoid(1.702 * 7) * (7 + 1)
        let y = gate_value(&Gate::OAI, 9.0, 8.0);
        assert!((y - 56.0 / (1.0 + (-11.914_f64).exp())).abs() < 1e-13 * y);
        assert_eq!(gate_gradient(&Gate::OAI, 7.0, 7.0), (0.0, 0.0));
        assert_eq!(gate_gradient(&Gate::OAI, 8.0, -7.0), (0.0, 0.0));
        assert_eq!(gate_value(&Gate::OAI, f64::NEG_INFINITY, 1.0).to_bits(), (-0.0_f64).to_bits());
        assert!(gate_value(&Gate::OAI, f64::NAN, 1.0).is_nan() && gate_value(&Gate::OAI, 1.0, f64::NAN).is_nan());
        assert!(gate_gradient(&Gate::OAI, f64::NAN, 1.0).0.is_nan() && gate_gradient(&Gate::OAI, 9.0, f64::NAN).0.is_nan());
    }

    #[test]
    fn swiglu_by_hand() {
        let gate = Gate::parse("swiglu").unwrap();
        assert!((gate_value(&gate, 1.0, -3.0) + 3.0 * 0.731_058_578_630_004_9).abs() < 1e-15);
        assert_eq!(gate_gradient(&gate, 0.0, 4.0), (2.0, 0.0));
        assert_eq!(gate_terms(&gate, -2.0, -3.0), gate_value(&gate, -2.0, -3.0).abs());
    }
}
