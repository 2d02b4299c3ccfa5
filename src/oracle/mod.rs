//! The scalar CPU truth in f64, straight from the definitions.
//!
//! The room's rule: it knows nothing of ours but the vocabulary ([`Activation`](crate::Activation),
//! [`Gate`](crate::Gate) and [`Routing`](crate::routing::Routing)), and shares no constant, formula or branch with the shaders, so that a mistake in one
//! cannot hide in the other. Each line is meant to be read beside the paper that the vocabulary cites.
//!
//! Values and derivatives are good to about 1e-13 of their `terms`: the sum of the absolute values of what is
//! added up, which exceeds the result near a root. Any fair bound on the error of other arithmetic is a multiple
//! of those, never of the result itself. NaN gives NaN, and infinities give the limits of the function.

mod activations;
mod backward;
mod feed_forward;
mod gates;
mod mixture;
mod random;
mod routing;
mod training;

pub use activations::{derivative, derivative_terms, parameter_gradient, terms, value};
pub use backward::{DenseGradients, GatedGradients, dense_backward, gated_backward};
pub use feed_forward::{Bounded, DenseWeights, GatedWeights, dense, gated};
pub use gates::{gate_gradient, gate_gradient_terms, gate_terms, gate_value};
pub use mixture::{Mixed, MixtureGradients, MixtureWeights, SharedWeights, mixture, mixture_backward};
pub use random::{inverse_normal, kept, philox, uniform, word};
pub use routing::{Routed, route, route_backward};
pub use training::{AdamW, Decay, adamw, clip_factor, cross_entropy, learning_rate, mean_squared_error, sgd};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    fn all() -> impl Iterator<Item = Activation> {
        let changed = [
            ("swish", "beta", 1.5),
            ("swish", "beta", -0.7),
            ("swish", "beta", 0.0),
            ("elu", "alpha", 0.7),
            ("celu", "alpha", 1.3),
            ("softplus", "beta", 2.0),
            ("prelu", "slope", 0.0),
            ("xielu", "beta", 0.0),
            ("xielu", "alpha_n", 0.3),
            ("rational", "b1", -2.0),
        ];
        Activation::all().chain(changed.map(|(name, parameter, value)| Activation::parse(name).unwrap().with(parameter, value).unwrap()))
    }

    /// Where a value or a derivative may jump; 0.4934 is the root of the changed rational function's U.
    const KINKS: [f64; 13] = [-10.0, -3.0, -1.0, -0.5, 0.0, 0.01, 0.5, 1.0, 3.0, 6.0, 10.0, 20.0, 0.4934];

    /// The five-point central difference of `f` at 0.
    fn difference(h: f64, f: impl Fn(f64) -> f64) -> f64 {
        (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
    }

    #[test]
    fn derivatives_are_those_of_the_value() {
        for activation in all() {
            for x in (-2000..=2000).map(|i| f64::from(i) * 0.0101).filter(|x| KINKS.iter().all(|kink| (x - kink).abs() > 3e-3)) {
                let (numeric, exact) = (difference(1e-3 / x.abs().max(1.0), |h| value(&activation, x + h)), derivative(&activation, x));
                let (value_terms, derivative_terms) = (terms(&activation, x), derivative_terms(&activation, x));
                assert!(
                    (numeric - exact).abs() <= 1e-8 * derivative_terms + 1e-11 * value_terms + 1e-290,
                    "{activation} at {x}: {numeric} {exact}"
                );
                assert!(value(&activation, x).abs() <= value_terms * (1.0 + 1e-15), "{activation} at {x}");
                assert!(exact.abs() <= derivative_terms * (1.0 + 1e-15), "{activation} at {x}");
            }
        }
    }

    #[test]
    fn parameter_gradients_are_those_of_the_value() {
        for activation in all() {
            for x in (-300..=300).map(|i| f64::from(i) * 0.0301) {
                let exact = parameter_gradient(&activation, x);
                assert_eq!(exact.len(), activation.learnable_len());
                for ((name, parameter), exact) in activation.parameters().into_iter().zip(exact) {
                    let at = |h| value(&activation.clone().with(&name, parameter + h).unwrap(), x);
                    let (numeric, terms) = (difference(1e-3, at), terms(&activation, x));
                    assert!((numeric - exact).abs() <= 1e-8 * (exact.abs() + terms), "{activation} by {name} at {x}: {numeric} {exact}");
                }
            }
        }
    }

    #[test]
    fn known_values() {
        for (name, x, want, slope) in [
            ("gelu", -1.0, -0.158_655_253_931_457_05, -0.083_315_470_587_686_3),
            ("gelu", -12.0, -2.131_778_534_493_214_8e-32, -2.557_895_661_674_895_6e-31),
            ("silu", -2.0, -0.238_405_844_044_235_11, -0.090_784_248_784_895_48),
            ("mish", 1.0, 0.865_098_388_267_310_3, 1.049_036_220_099_792_2),
            ("tanhshrink", 1e-3, 3.333_332_000_000_54e-10, 9.999_993_333_337_112e-7),
            ("sigmoid", -700.0, 9.859_676_543_759_77e-305, 9.859_676_543_759_77e-305),
            ("sqrtsoftplus", -1000.0, 7.124_576_406_741_286e-218, 3.562_288_203_370_643e-218),
            ("xielu", -1e-3, -4.996_001_333_000_067e-4, 0.499_200_399_866_7),
        ] {
            let activation = Activation::parse(name).unwrap();
            let (y, dy) = (value(&activation, x), derivative(&activation, x));
            assert!((y - want).abs() <= 1e-12 * want.abs() && (dy - slope).abs() <= 1e-12 * slope.abs(), "{name} at {x}: {y:e} {dy:e}");
        }
    }

    #[test]
    fn kinks_are_as_in_pytorch() {
        for (name, x, want) in [
            ("relu", 0.0, 0.0),
            ("relu6", 6.0, 0.0),
            ("hardtanh", -1.0, 0.0),
            ("hardsigmoid", 3.0, 0.0),
            ("gelu_10", 10.0, 0.0),
            ("leaky_relu", 0.0, 0.01),
            ("prelu", 0.0, 0.25),
            ("elu", 0.0, 1.0),
            ("selu", 0.0, 1.758_099_340_847_376_9),
            ("celu", 0.0, 1.0),
            ("hardswish", -3.0, 0.0),
            ("hardswish", 3.0, 1.0),
            ("hardshrink", 0.5, 0.0),
            ("softshrink", -0.5, 0.0),
            ("fatrelu", 0.01, 0.0),
            ("xielu", 0.0, 0.5 - 0.8),
            ("xielu", -1e-7, 0.5 - 0.8),
        ] {
            let dy = derivative(&Activation::parse(name).unwrap(), x);
            assert!((dy - want).abs() <= 1e-15 * want.abs(), "{name} at {x}: {dy}");
        }
    }

    #[test]
    fn infinities_give_limits_and_nan_stays() {
        for activation in all() {
            for far in [1e30, -1e30] {
                for f in [value, derivative, terms, derivative_terms] {
                    let (near, limit) = (f(&activation, far), f(&activation, far.signum() * f64::INFINITY));
                    let same = if near.abs() > 1e10 { limit == near * f64::INFINITY } else { (limit - near).abs() < 1e-12 };
                    assert!(
                        same && (limit != 0.0 || limit.is_sign_negative() == near.is_sign_negative()),
                        "{activation} at {far}: {near} {limit}"
                    );
                    assert!(f(&activation, f64::NAN).is_nan(), "{activation}");
                }
            }
            assert!(parameter_gradient(&activation, f64::NAN).iter().all(|gradient| gradient.is_nan()));
        }
    }

    #[test]
    fn negative_zero_stays_where_the_formula_keeps_it() {
        for (name, negative) in
            [("relu", true), ("relu_squared", false), ("hardswish", true), ("silu", true), ("elu", true), ("tanhshrink", true)]
        {
            let y = value(&Activation::parse(name).unwrap(), -0.0);
            assert!(y == 0.0 && y.is_sign_negative() == negative, "{name}: {y}");
        }
        for name in ["silu", "gelu", "gelu_tanh", "quick_gelu", "mish", "hardswish"] {
            let y = value(&Activation::parse(name).unwrap(), f64::NEG_INFINITY);
            assert!(y == 0.0 && y.is_sign_negative(), "{name}: {y}");
        }
    }
}
