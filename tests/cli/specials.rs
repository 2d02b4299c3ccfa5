//! Infinities, NaN and signed zeros beside what PyTorch returns for them.

use ffwd::Activation;
use serde_json::Value;

const INF: f32 = f32::INFINITY;
const MAX: f32 = f32::MAX;
const POSITIVE: Class = Class::Finite { negative: false };
const NEGATIVE: Class = Class::Finite { negative: true };
const ZERO: Class = Class::Tiny { negative: false };
const MINUS_ZERO: Class = Class::Tiny { negative: true };

/// Where we differ from PyTorch on purpose: cases, output, inputs, what ours is. Each is stated in `Spec::differs` too.
#[rustfmt::skip]
const DIFFERS: &[(&[&str], &str, &[f32], Class)] = &[
    // NaN in, NaN out.
    (&["relu", "leaky_relu_0.01", "leaky_relu_0.2", "prelu", "hardsigmoid", "identity"], "dx", &[f32::NAN], Class::Nan),
    // The limits, where PyTorch has NaN.
    (&["gelu", "gelu_tanh", "quick_gelu", "silu", "swish_1.5", "swish_channel", "mish", "hardswish"], "y", &[-INF], MINUS_ZERO),
    (&["gelu", "gelu_tanh", "quick_gelu", "silu", "swish_1.5", "swish_channel", "mish"], "dx", &[INF], POSITIVE),
    (&["gelu", "gelu_tanh", "quick_gelu", "silu", "swish_1.5", "swish_channel", "mish"], "dx", &[-INF], MINUS_ZERO),
    (&["gelu_tanh"], "dx", &[MAX, 1e38, 1e30, 1e20], POSITIVE),
    (&["gelu_tanh"], "dx", &[-MAX, -1e38, -1e30, -1e20], MINUS_ZERO),
    (&["softsign"], "y", &[INF], POSITIVE),
    (&["softsign"], "y", &[-INF], NEGATIVE),
    (&["softsign"], "dx", &[INF, -INF], ZERO),
    // The side from which a limit of 0 is reached, where PyTorch has +0. In swish_channel, MAX meets a negative beta.
    (&["gelu", "quick_gelu", "swish_1.5"], "dx", &[-MAX, -1e38, -1e30, -1e20, -100.0], MINUS_ZERO),
    (&["gelu_tanh"], "dx", &[-100.0], MINUS_ZERO),
    (&["mish"], "dx", &[-MAX, -1e38, -1e30, -1e20], MINUS_ZERO),
    (&["swish_channel"], "dx", &[MAX, -1e38, -1e30, -1e20], MINUS_ZERO),
    (&["logsigmoid"], "y", &[INF, MAX, 1e38, 1e30, 1e20], MINUS_ZERO),
    // No overflow on the way.
    (&["hardswish"], "y", &[MAX, 1e38], POSITIVE),
    (&["rational_leaky_relu"], "y", &[INF], Class::Infinite { negative: false }),
    (&["rational_leaky_relu"], "y", &[-INF], Class::Infinite { negative: true }),
    (&["rational_leaky_relu"], "y", &[MAX, 1e38, 1e30, 1e20], POSITIVE),
    (&["rational_leaky_relu"], "y", &[-MAX, -1e38, -1e30, -1e20], NEGATIVE),
    (&["rational_leaky_relu"], "dx", &[INF, -INF, MAX, -MAX, 1e38, -1e38, 1e30, -1e30, 1e20, -1e20], POSITIVE),
];

/// What is compared: results below the normal numbers may be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Nan,
    Infinite { negative: bool },
    Tiny { negative: bool },
    Finite { negative: bool },
}

impl Class {
    fn of(value: f32) -> Self {
        let negative = value.is_sign_negative();
        match value {
            _ if value.is_nan() => Self::Nan,
            _ if value.is_infinite() => Self::Infinite { negative },
            _ if value.abs() < f32::MIN_POSITIVE => Self::Tiny { negative },
            _ => Self::Finite { negative },
        }
    }
}

/// Compares the class of every element, except where PyTorch's own paths disagree.
pub fn compare(spec: &Value, output: &str, x: &[f32], actual: &[f32], expected: &[f32]) -> Result<(), String> {
    let case = spec["name"].as_str().unwrap().split('/').nth(1).unwrap();
    let paths: Vec<_> = spec["path_differs"].as_array().into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let ungraded = paths.iter().any(|entry| entry["output"] == output && entry["index"] == i);
        let same = |at: &f32| *at == x[i] || at.is_nan() && x[i].is_nan();
        let stated = DIFFERS.iter().find(|(cases, out, at, _)| cases.contains(&case) && *out == output && at.iter().any(same));
        let wanted = stated.map_or(Class::of(*expected), |(.., ours)| *ours);
        if Class::of(*actual) != wanted && !ungraded {
            wrong.push(format!("{output}[{i}] at {:e}: {actual:e}, PyTorch {expected:e}", x[i]));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

#[test]
fn every_difference_is_stated() {
    for case in DIFFERS.iter().flat_map(|(cases, ..)| *cases) {
        let names = Activation::names().filter(|name| case.starts_with(name));
        let activation = Activation::parse(names.max_by_key(|name| name.len()).unwrap()).unwrap();
        assert!(!activation.spec().unwrap().differs.is_empty(), "{case}");
    }
}
