//! Every activation and its derivatives; formulas and sources are in the vocabulary's table.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use libm::{cosh, erfc, exp, expm1, log1p, sqrt, tanh};

use crate::activation::Activation::{self, *};

// Klambauer et al. 2017, arXiv:1706.02515, section 2.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_284_817_042_991_671_7;
const SELU_SCALE: f64 = 1.050_700_987_355_480_493_419_334_985_294_6;
// Ma et al. 2022, arXiv:2209.10655, section 3.3, as transformers rounds them.
#[expect(clippy::approx_constant, reason = "six digits are the definition")]
const LAPLACE_MEAN: f64 = 0.707_107;
const LAPLACE_DEVIATION: f64 = 0.282_095;
const QUICK_GELU_SLOPE: f64 = 1.702;

/// The activation at `x`. A custom activation has no truth here: NaN.
#[must_use]
pub fn value(activation: &Activation, x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    match *activation {
        Identity => x,
        Relu => clamp(x, 0.0, f64::INFINITY),
        Relu6 => clamp(x, 0.0, 6.0),
        ReluSquared => value(&Relu, x) * value(&Relu, x),
        LeakyRelu { .. } | PRelu { .. } | RRelu { .. } | Elu { .. } | Celu { .. } if x > 0.0 => x,
        LeakyRelu { negative_slope } => product(negative_slope, x),
        PRelu { slope } => product(slope, x),
        RRelu { lower, upper } => product((lower + upper) / 2.0, x),
        Elu { alpha } => alpha * expm1(x),
        Celu { alpha } => alpha * expm1(x / alpha),
        Selu => SELU_SCALE * value(&Elu { alpha: SELU_ALPHA }, x),
        Threshold { threshold, .. } | FatRelu { threshold } if x > threshold => x,
        Threshold { value, .. } => value,
        FatRelu { .. } => 0.0,
        Sigmoid => sigmoid(x),
        LogSigmoid => x.min(0.0) - log1p(exp(-x.abs())),
        Tanh => tanh(x),
        TanhShrink => x_minus_tanh(x),
        SoftSign if x.is_infinite() => x.signum(),
        SoftSign => x / (1.0 + x.abs()),
        SoftPlus { beta, threshold } if beta * x > threshold => x,
        SoftPlus { beta, .. } => softplus(beta * x) / beta,
        SqrtSoftPlus => sqrt_softplus(x),
        HardTanh { min_val, max_val } => clamp(x, min_val, max_val),
        HardSigmoid => clamp((x + 3.0) / 6.0, 0.0, 1.0),
        HardSwish if x >= 3.0 => x,
        HardSwish => product(clamp(x + 3.0, 0.0, 6.0), x) / 6.0,
        SoftShrink { lambd } if x > lambd => x - lambd,
        SoftShrink { lambd } if x < -lambd => x + lambd,
        HardShrink { lambd } if x.abs() > lambd => x,
        SoftShrink { .. } | HardShrink { .. } => 0.0,
        Silu => product(sigmoid(x), x),
        Swish { beta } => product(sigmoid(product(beta, x)), x),
        Gelu => product(normal_cdf(x, 0.0), x),
        GeluTanh => product(sigmoid(gelu_tanh_argument(x)), x),
        QuickGelu => product(sigmoid(QUICK_GELU_SLOPE * x), x),
        Gelu10 => clamp(value(&Gelu, x), -10.0, 10.0),
        Laplace => laplace(x),
        Mish => product(tanh(softplus(x)), x),
        Xielu { alpha_p, beta, .. } if x > 0.0 => product(product(alpha_p, x) + beta, x),
        Xielu { alpha_n, beta, .. } if x.is_infinite() => product(beta - alpha_n, x) - alpha_n,
        Xielu { alpha_n, beta, eps, .. } => alpha_n * expm1_minus(x, eps) + beta * x,
        Rational { .. } if x.abs() > FAR => leading_terms(activation, x),
        Rational { .. } => Pade::at(activation, x).value(),
        Custom(_) => f64::NAN,
    }
}

/// The derivative at `x`, with PyTorch's convention at a kink. A custom activation has no truth here: NaN.
#[must_use]
pub fn derivative(activation: &Activation, x: f64) -> f64 {
    let (first, second) = derivative_addends(activation, x);
    first + second
}

/// The absolute values of what [`value`] adds up; `|value|` where nothing cancels.
#[must_use]
pub fn terms(activation: &Activation, x: f64) -> f64 {
    match *activation {
        Xielu { alpha_p, beta, .. } if x > 0.0 => product(product(alpha_p.abs(), x) + beta.abs(), x),
        Xielu { alpha_n, beta, eps, .. } if x <= eps => product(alpha_n, expm1_minus(x, eps)).abs() + product(beta, x).abs(),
        Xielu { alpha_n, beta, eps, .. } => (alpha_n * expm1(eps)).abs() + ((alpha_n.abs() + beta.abs()) * x).abs(),
        Rational { .. } if x.abs() <= FAR => Pade::at(activation, x).terms(),
        _ => value(activation, x).abs(),
    }
}

/// The absolute values of what [`derivative`] adds up.
#[must_use]
pub fn derivative_terms(activation: &Activation, x: f64) -> f64 {
    if let Rational { .. } = activation {
        return Pade::at(activation, x).derivative_terms();
    }
    let (first, second) = derivative_addends(activation, x);
    first.abs() + second.abs()
}

/// The derivative with respect to each parameter that can be learned, in their order.
#[must_use]
pub fn parameter_gradient(activation: &Activation, x: f64) -> Vec<f64> {
    if x.is_nan() {
        return vec![x; activation.learnable_len()];
    }
    match *activation {
        PRelu { .. } | Elu { .. } if x > 0.0 => vec![0.0],
        PRelu { .. } => vec![x],
        Elu { .. } => vec![expm1(x)],
        Swish { beta } => vec![product(product(sigmoid_slope(product(beta, x)), x), x)],
        Xielu { .. } if x > 0.0 => vec![x * x, 0.0],
        Xielu { eps, .. } => vec![0.0, expm1_minus(x, eps)],
        Rational { .. } => Pade::at(activation, x).parameter_gradient(),
        _ => Vec::new(),
    }
}

/// The derivative as the two addends that may cancel; 0 stands for the second where there is one alone.
fn derivative_addends(activation: &Activation, x: f64) -> (f64, f64) {
    if x.is_nan() {
        return (x, x);
    }
    let step = |inside: bool| f64::from(u8::from(inside));
    let alone = match *activation {
        Identity => 1.0,
        Relu => step(x > 0.0),
        Relu6 => step(0.0 < x && x < 6.0),
        ReluSquared => 2.0 * value(&Relu, x),
        LeakyRelu { .. } | PRelu { .. } | RRelu { .. } | Elu { .. } | Celu { .. } if x > 0.0 => 1.0,
        LeakyRelu { negative_slope } => negative_slope,
        PRelu { slope } => slope,
        RRelu { lower, upper } => (lower + upper) / 2.0,
        Elu { alpha } => alpha * exp(x),
        Celu { alpha } => exp(x / alpha),
        Selu => SELU_SCALE * derivative(&Elu { alpha: SELU_ALPHA }, x),
        Threshold { threshold, .. } | FatRelu { threshold } => step(x > threshold),
        Sigmoid => sigmoid_slope(x),
        LogSigmoid => sigmoid(-x),
        Tanh => sech_squared(x),
        TanhShrink => tanh(x) * tanh(x),
        SoftSign => 1.0 / ((1.0 + x.abs()) * (1.0 + x.abs())),
        SoftPlus { beta, threshold } if beta * x > threshold => 1.0,
        SoftPlus { beta, .. } => sigmoid(beta * x),
        SqrtSoftPlus if x < -40.0 => sqrt_softplus(x) / 2.0,
        SqrtSoftPlus => sigmoid(x) / (2.0 * sqrt_softplus(x)),
        HardTanh { min_val, max_val } => step(min_val < x && x < max_val),
        HardSigmoid => step(-3.0 < x && x < 3.0) / 6.0,
        HardSwish if x <= -3.0 || x >= 3.0 => step(x >= 3.0),
        HardSwish => return (x / 3.0, 0.5),
        SoftShrink { lambd } | HardShrink { lambd } => step(x.abs() > lambd),
        Silu => return self_gated_addends(x, x, 1.0),
        Swish { beta } => return self_gated_addends(x, product(beta, x), beta),
        Gelu => return (normal_cdf(x, 0.0), product(normal_pdf(x), x)),
        GeluTanh => return self_gated_addends(x, gelu_tanh_argument(x), gelu_tanh_argument_slope(x)),
        QuickGelu => return self_gated_addends(x, QUICK_GELU_SLOPE * x, QUICK_GELU_SLOPE),
        Gelu10 if value(&Gelu, x).abs() >= 10.0 => 0.0,
        Gelu10 => return derivative_addends(&Gelu, x),
        Laplace => normal_pdf((x - LAPLACE_MEAN) / LAPLACE_DEVIATION) / LAPLACE_DEVIATION,
        Mish => return (tanh(softplus(x)), product(sech_squared(softplus(x)) * sigmoid(x), x)),
        Xielu { alpha_p, beta, .. } if x > 0.0 => return (2.0 * product(alpha_p, x), beta),
        Xielu { alpha_n, beta, eps, .. } => return (alpha_n * if x < eps { expm1(x) } else { -1.0 }, beta),
        Rational { .. } => return Pade::at(activation, x).derivative_addends(),
        Custom(_) => f64::NAN,
    };
    (alone, 0.0)
}

/// The derivative of x sigmoid(u(x)), where `slope` is u'(x).
fn self_gated_addends(x: f64, u: f64, slope: f64) -> (f64, f64) {
    (sigmoid(u), product(sigmoid_slope(u), product(slope, x)))
}

/// `factor * x` as a limit: a factor that is 0 stays 0 at an infinite x, with the sign of the product.
fn product(factor: f64, x: f64) -> f64 {
    if factor == 0.0 { factor * x.signum() } else { factor * x }
}

/// Unlike [`f64::clamp`], accepts min > max and keeps a -0 on an edge; unlike [`f64::min`], keeps NaN.
pub(super) fn clamp(x: f64, min: f64, max: f64) -> f64 {
    if x > max {
        max
    } else if x < min {
        min
    } else {
        x
    }
}

/// 1 / (1 + e^-x), with an exponential that cannot overflow.
fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { exp(x) / (1.0 + exp(x)) } else { 1.0 / (1.0 + exp(-x)) }
}

fn sigmoid_slope(x: f64) -> f64 {
    sigmoid(x) * sigmoid(-x)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + log1p(exp(-x.abs()))
}

/// Far to the left, log(1 + e^x) is e^x to the last bit and would underflow before its root does.
fn sqrt_softplus(x: f64) -> f64 {
    if x < -40.0 { exp(x / 2.0) } else { sqrt(softplus(x)) }
}

fn sech_squared(x: f64) -> f64 {
    1.0 / cosh(x) / cosh(x)
}

/// x - tanh(x), near 0 by Lambert's continued fraction tanh(x) = x / (1 + x^2 / (3 + x^2 / (5 + ...))).
fn x_minus_tanh(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return x - tanh(x);
    }
    let tail = (2..=12).rev().fold(0.0, |tail, n| x * x / (f64::from(2 * n - 1) + tail));
    x * tail / (1.0 + tail)
}

/// e^min(x, eps) - 1 - x, near 0 by its Taylor series.
fn expm1_minus(x: f64, eps: f64) -> f64 {
    if x > eps || x <= -1.0 {
        return expm1(x.min(eps)) - x;
    }
    // Horner's form of x^2 / 2 + x^3 / 6 + ...; 18 terms reach 1e-17 at 1.
    x * (3..=20).rev().fold(1.0, |sum, n| 1.0 + x / f64::from(n) * sum) * x / 2.0
}

/// sqrt(2 / pi) (x + 0.044715 x^3), doubled: (1 + tanh(v)) / 2 = sigmoid(2 v).
fn gelu_tanh_argument(x: f64) -> f64 {
    2.0 * sqrt(2.0 / PI) * (x + 0.044_715 * x * x * x)
}

fn gelu_tanh_argument_slope(x: f64) -> f64 {
    2.0 * sqrt(2.0 / PI) * (1.0 + 3.0 * 0.044_715 * x * x)
}

fn normal_pdf(x: f64) -> f64 {
    exp(-0.5 * x * x) / sqrt(2.0 * PI)
}

/// Phi(x + dx) = erfc(-(x + dx) / sqrt(2)) / 2, where `dx` is the rounding error of x. The left tail magnifies
/// relative errors of its argument by x^2, so that of -x / sqrt(2) is followed too.
fn normal_cdf(x: f64, dx: f64) -> f64 {
    const FRAC_1_SQRT_2_REST: f64 = -4.833_646_656_726_457e-17;
    let x = x.clamp(-50.0, 50.0);
    let z = -x * FRAC_1_SQRT_2;
    let dz = (-x).mul_add(FRAC_1_SQRT_2, -z) - x * FRAC_1_SQRT_2_REST - dx * FRAC_1_SQRT_2;
    0.5 * erfc(z) - dz * exp(-z * z) / sqrt(PI)
}

/// Phi((x - mean) / deviation), with the rounding errors of the difference and of the quotient.
fn laplace(x: f64) -> f64 {
    let x = x.clamp(-50.0, 50.0);
    let difference = x - LAPLACE_MEAN;
    let quotient = difference / LAPLACE_DEVIATION;
    let lost = if x.abs() > LAPLACE_MEAN { (x - difference) - LAPLACE_MEAN } else { x - (difference + LAPLACE_MEAN) };
    normal_cdf(quotient, (quotient.mul_add(-LAPLACE_DEVIATION, difference) + lost) / LAPLACE_DEVIATION)
}

/// Beyond, only the leading terms of a rational function are left in an f64; up to it x^5 does not overflow.
const FAR: f64 = 1e60;

/// Molina et al. 2019, arXiv:1907.06732, section 3: P / Q with P = sum a_j x^j and Q = 1 + |U|, U = sum b_k x^k from k = 1.
struct Pade {
    a: Vec<f64>,
    b: Vec<f64>,
    /// x^j / Q.
    powers: [f64; 6],
    /// d|U| / dU, 0 at 0.
    sign: f64,
    /// What cancels within U, in units of Q.
    cancelled: f64,
}

impl Pade {
    /// Where `x` lies beyond [`FAR`], as at its edge: derivatives are at their limit or far above f32 there.
    fn at(activation: &Activation, x: f64) -> Self {
        let mut a = activation.values();
        let b = a.split_off(6);
        let x = x.clamp(-FAR, FAR);
        let powers = [1.0, x, x * x, x * x * x, x * x * x * x, x * x * x * x * x];
        let u = dot(&b, &powers[1..]);
        let q = 1.0 + u.abs();
        let cancelled = (dot(&absolute(&b), &absolute(&powers[1..])) - u.abs()) / q;
        Self { a, b, powers: powers.map(|power| power / q), sign: if u == 0.0 { 0.0 } else { u.signum() }, cancelled }
    }

    fn value(&self) -> f64 {
        dot(&self.a, &self.powers)
    }

    fn terms(&self) -> f64 {
        dot(&absolute(&self.a), &absolute(&self.powers)) + self.value().abs() * self.cancelled
    }

    /// P' / Q and -P |U|' / Q^2.
    fn derivative_addends(&self) -> (f64, f64) {
        (dot(&differentiated(&self.a[1..]), &self.powers), -self.value() * self.sign * dot(&differentiated(&self.b), &self.powers))
    }

    fn derivative_terms(&self) -> f64 {
        let powers = absolute(&self.powers);
        let p = dot(&absolute(&differentiated(&self.a[1..])), &powers);
        let u = dot(&absolute(&differentiated(&self.b)), &powers);
        (p + self.terms() * u) * (1.0 + self.cancelled)
    }

    fn parameter_gradient(&self) -> Vec<f64> {
        let b = self.powers[1..5].iter().map(|power| -self.value() * self.sign * power);
        self.powers.iter().copied().chain(b).collect()
    }
}

/// a_n x^n / |b_m x^m| with the last coefficients that are not 0.
fn leading_terms(activation: &Activation, x: f64) -> f64 {
    let coefficients = activation.values();
    let degree = |c: &[f64]| (1..).zip(c).filter(|(_, c)| **c != 0.0).last().map(|(degree, c)| (degree, *c));
    let Some((n, a)) = degree(&coefficients[..6]) else { return 0.0 };
    let (m, b): (i32, f64) = degree(&coefficients[6..]).unwrap_or((0, 1.0));
    a / b.abs() * x.signum().powi(n - 1) * x.abs().powi(n - 1 - m)
}

fn dot(coefficients: &[f64], powers: &[f64]) -> f64 {
    coefficients.iter().zip(powers).map(|(c, power)| c * power).sum()
}

fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

/// The coefficients of the derivative of c_1 x + c_2 x^2 + ...
fn differentiated(coefficients: &[f64]) -> Vec<f64> {
    (1..).zip(coefficients).map(|(degree, c)| f64::from(degree) * c).collect()
}
