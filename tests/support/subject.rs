//! Every activation with its truth and its contract, a user's own among them.

use ffwd::accuracy::{self, Sample};
use ffwd::verify::HALF_KIND_ULP;
use ffwd::{Activation, Custom, Element, oracle};

/// Every activation with its defaults, some with other parameters, and a custom one.
pub fn activations() -> Vec<Activation> {
    let changed = [
        ("leaky_relu", "negative_slope", -0.2),
        ("prelu", "slope", 1.5),
        ("elu", "alpha", 0.7),
        ("celu", "alpha", 1.3),
        ("softplus", "beta", 2.0),
        ("softplus", "threshold", 1.1),
        ("swish", "beta", -0.7),
        ("hardtanh", "max_val", 0.3),
        ("softshrink", "lambd", 0.3),
        ("threshold", "value", -2.5),
    ];
    let changed = changed.map(|(name, parameter, value)| Activation::parse(name).unwrap().with(parameter, value).unwrap());
    Activation::all().chain(changed).chain([custom()]).collect()
}

/// b x |x| / (1 + |x|), in arithmetic whose accuracy WGSL bounds.
pub fn custom() -> Activation {
    let (value, derivative) = ("b * (x * abs(x) / (1.0 + abs(x)))", "b * (abs(x) * (2.0 + abs(x)) / ((1.0 + abs(x)) * (1.0 + abs(x))))");
    Custom::new("softsquare", value, derivative, &[("b", 0.75)]).unwrap().into_activation()
}

/// f(x).
pub fn value(activation: &Activation, x: f64) -> f64 {
    match activation {
        Activation::Custom(_) => 0.75 * x * x.abs() / (1.0 + x.abs()),
        _ => oracle::value(activation, x),
    }
}

/// f'(x).
pub fn derivative(activation: &Activation, x: f64) -> f64 {
    match activation {
        Activation::Custom(_) => 0.75 * x.abs() * (2.0 + x.abs()) / ((1.0 + x.abs()) * (1.0 + x.abs())),
        _ => oracle::derivative(activation, x),
    }
}

/// Inputs for which the plain arithmetic of the custom activation neither overflows nor underflows.
pub fn domain(activation: &Activation, x: f32) -> bool {
    !matches!(activation, Activation::Custom(_)) || x.is_nan() || (1e-15..1e15).contains(&x.abs())
}

/// Units in the last place that a result may be off.
pub fn allowed(activation: &Activation, element: Element, backward: bool) -> f64 {
    match activation.spec() {
        _ if element != Element::F32 => HALF_KIND_ULP,
        Some(spec) if backward => spec.accuracy.backward,
        Some(spec) => spec.accuracy.forward,
        // Division is within 2.5 units, each other operation within half a unit.
        None if backward => 6.0,
        None => 4.0,
    }
}

/// f(x) beside the truth; in f32, 2^-23 of the terms that cancel at the roots of two functions is forgiven.
pub fn judged_value(activation: &Activation, element: Element, x: f32, actual: f32) -> Sample {
    accuracy::judged(element, allowed(activation, element, false), x, |x| {
        let truth = value(activation, f64::from(x));
        Sample { actual, truth, forgiven: forgiven(activation, element, || oracle::terms(activation, f64::from(x))) }
    })
}

/// dy f'(x) beside the truth.
pub fn judged_derivative(activation: &Activation, element: Element, x: f32, dy: f32, actual: f32) -> Sample {
    accuracy::judged(element, allowed(activation, element, true), x, |x| {
        let (x, dy) = (f64::from(x), f64::from(dy));
        let forgiven = forgiven(activation, element, || oracle::derivative_terms(activation, x) * dy.abs());
        Sample { actual, truth: derivative(activation, x) * dy, forgiven }
    })
}

fn forgiven(activation: &Activation, element: Element, terms: impl Fn() -> f64) -> f64 {
    let rooted = matches!(activation, Activation::Rational { .. } | Activation::Xielu { .. });
    if element == Element::F32 && rooted { f64::exp2(-23.0) * terms() } else { 0.0 }
}
