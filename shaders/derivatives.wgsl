// The twin of activations.wgsl: NAME_grad returns m * f'(x), with m the gradient from above, and
// NAME_learned returns m * df/dparameter for each learnable parameter. Where f is flat the gradient is 0,
// also of an infinite m. Each is the derivative of the function that
// activations.wgsl computes, with PyTorch's convention at a kink.

fn identity_grad(x: f32, m: f32) -> f32 {
    return m;
}

fn relu_grad(x: f32, m: f32) -> f32 {
    return select(0.0, m, is_positive(x));
}

/// 1 strictly between the kinks
fn relu6_grad(x: f32, m: f32) -> f32 {
    return select(0.0, m, is_positive(x) && x < 6.0);
}

/// Small x is doubled first: m * x may be subnormal where twice of it is not
fn relu_squared_grad(x: f32, m: f32) -> f32 {
    let r = select(0.0, x, is_positive(x));
    return select((m * r) * 2.0, m * (r + r), r < 1.0);
}

fn leaky_relu_grad(x: f32, m: f32, slope: vec2<f32>) -> f32 {
    return m * select(slope.x, 1.0, is_positive(x));
}

fn prelu_grad(x: f32, m: f32, slope: vec2<f32>) -> f32 {
    return leaky_relu_grad(x, m, slope);
}

fn prelu_learned(x: f32, m: f32, slope: vec2<f32>) -> array<f32, 1> {
    return array<f32, 1>(m * select(x, 0.0, is_positive(x)));
}

fn rrelu_grad(x: f32, m: f32, lower: vec2<f32>, upper: vec2<f32>, mean: vec2<f32>) -> f32 {
    return leaky_relu_grad(x, m, mean);
}

fn threshold_grad(x: f32, m: f32, limit: vec2<f32>, value: vec2<f32>) -> f32 {
    return select(0.0, m, above(x, limit));
}

fn fatrelu_grad(x: f32, m: f32, limit: vec2<f32>) -> f32 {
    return select(0.0, m, above(x, limit));
}

/// 1 for x > 0, alpha e^x otherwise
fn elu_grad(x: f32, m: f32, alpha: vec2<f32>) -> f32 {
    let e = exp_split(min(x, 0.0), 0.0);
    return select((e.x * alpha.x) * (e.y * m), m, is_positive(x));
}

fn elu_learned(x: f32, m: f32, alpha: vec2<f32>) -> array<f32, 1> {
    return array<f32, 1>(m * select(expm1(min(x, 0.0)), 0.0, is_positive(x)));
}

fn selu_grad(x: f32, m: f32) -> f32 {
    let e = exp_split(min(x, 0.0), 0.0);
    return select((e.x * 1.7580993408473766) * (e.y * m), m * 1.0507009873554805, is_positive(x));
}

/// 1 for x > 0, e^(x / alpha) otherwise
fn celu_grad(x: f32, m: f32, alpha: vec2<f32>, inverse: vec2<f32>) -> f32 {
    let z = product(x, inverse);
    let e = exp_split(min(z.x, 175.0), z.y);
    return select(e.x * (e.y * m), m, is_positive(x));
}

/// e^-|x| / (1 + e^-|x|)^2
fn sigmoid_grad(x: f32, m: f32) -> f32 {
    let h = logistic_grad(vec2<f32>(x, 0.0));
    return h.x * (h.y * m);
}

/// sigmoid(-x)
fn logsigmoid_grad(x: f32, m: f32) -> f32 {
    return sigmoid_value(-x, m);
}

/// 1 - tanh(x)^2, as four times the logistic derivative at 2 x
fn tanh_grad(x: f32, m: f32) -> f32 {
    let h = logistic_grad(vec2<f32>(2.0 * x, 0.0));
    return (4.0 * h.x) * (h.y * m);
}

/// tanh(x)^2
fn tanhshrink_grad(x: f32, m: f32) -> f32 {
    let t = tanh_total(x);
    return (m * t) * t;
}

/// 1 / (1 + |x|)^2
fn softsign_grad(x: f32, m: f32) -> f32 {
    let r = 1.0 / (1.0 + min(abs(x), 4.2535296e37));
    return (m * r) * r;
}

/// sigmoid(beta x)
fn softplus_grad(x: f32, m: f32, beta: vec2<f32>, limit: vec2<f32>, inverse: vec2<f32>) -> f32 {
    let z = product(x, beta);
    return select(sigmoid_times(z, 1.0, m), m, above2(z, limit));
}

/// sigmoid(x) / (2 sqrt(log(1 + e^x)))
fn sqrtsoftplus_grad(x: f32, m: f32) -> f32 {
    let h = exp_split(-0.5 * abs(x), 0.0);
    let e = (h.x * h.y) * (h.x * h.y);
    let ratio = log1p_ratio(e);
    let left = (0.5 * h.x) * (h.y * m) / ((1.0 + e) * sqrt(ratio));
    let right = 0.5 * m / ((1.0 + e) * sqrt(x + e * ratio));
    return select(right, left, is_negative(x));
}

/// 1 strictly between the limits
fn hardtanh_grad(x: f32, m: f32, low: vec2<f32>, high: vec2<f32>) -> f32 {
    return select(0.0, m, above(x, low) && below(x, high));
}

fn hardsigmoid_grad(x: f32, m: f32) -> f32 {
    return select(0.0, m * 0.16666667, abs(x) < 3.0);
}

/// 0 up to -3, (2 x + 3) / 6 between, 1 from 3 on
fn hardswish_grad(x: f32, m: f32) -> f32 {
    let inside = (x + 1.5) * 0.33333334;
    return select(select(m * inside, m, x >= 3.0), 0.0, x <= -3.0);
}

fn softshrink_grad(x: f32, m: f32, lambda: vec2<f32>) -> f32 {
    return select(0.0, m, above(abs(x), lambda));
}

fn hardshrink_grad(x: f32, m: f32, lambda: vec2<f32>) -> f32 {
    return softshrink_grad(x, m, lambda);
}

fn silu_grad(x: f32, m: f32) -> f32 {
    return self_gated_grad(vec2<f32>(x, 0.0), m);
}

fn swish_grad(x: f32, m: f32, beta: vec2<f32>) -> f32 {
    return self_gated_grad(product(x, beta), m);
}

/// x^2 times the logistic derivative at beta x
fn swish_learned(x: f32, m: f32, beta: vec2<f32>) -> array<f32, 1> {
    let c = finite(x);
    let h = logistic_grad(product(x, beta));
    return array<f32, 1>((h.x * c) * (h.y * c) * m);
}

fn quick_gelu_grad(x: f32, m: f32) -> f32 {
    return swish_grad(x, m, vec2<f32>(1.7020000219345093, -2.193450928e-8));
}

/// Phi(x) + x phi(x); its values at x and -x add up to 1
fn gelu_grad(x: f32, m: f32) -> f32 {
    let t = min(abs(x), 20.0);
    let e = gauss(vec2<f32>(t, 0.0));
    return mirrored(vec2<f32>(e.x * mills_slope(t), e.y), is_negative(x), m);
}

/// 0 where the clip holds, its edge included
fn gelu_10_grad(x: f32, m: f32) -> f32 {
    return select(gelu_grad(x, m), 0.0, x >= 10.0);
}

/// With z = 2 sqrt(2 / pi) (x + 0.044715 x^3): sigmoid(z) (1 + x z' sigmoid(-z)).
/// For x = -t the bracket is (1 + e - t z') / (1 + e); about its root t0 both parts are differences from t0.
fn gelu_tanh_grad(x: f32, m: f32) -> f32 {
    let t = min(abs(x), 14.0);
    let z = gelu_tanh_argument(t);
    let e = exp_split(-z.x, -z.y);
    let v = e.x * e.y;
    let d = fence(t - 0.7524614334106445) + 1.133962827e-8;
    let squares = t * t + 0.75246143 * t + 0.5661982;
    let q = expm1_about(-d * (1.5957692 + 0.071354814 * squares), v, 3.4251828);
    let n = 0.29195520 * q - d * (1.5957692 + 0.21406445 * squares);
    let r = 1.0 / (1.0 + v);
    return mirrored(vec2<f32>(e.x * r * (n * r), e.y), is_negative(x), m);
}

/// phi((x - mu) / sigma) / sigma
fn laplace_grad(x: f32, m: f32) -> f32 {
    let z = laplace_argument(x);
    let e = gauss(vec2<f32>(abs(z.x), select(z.y, -z.y, is_negative(z.x))));
    return (e.x * 1.4142125) * (e.y * m);
}

/// For x < 0, with e = e^x, the derivative is e w / (e^2 + 2 e + 2)^2 where
/// w = 4 (x + 1) + e (4 x + 6) + 4 e^2 + e^3 has a root at -1.19; w is expanded about it in
/// d = x - root and q = e / e_root - 1. For x >= 0 every term is positive.
fn mish_grad(x: f32, m: f32) -> f32 {
    let e = exp_split(-abs(x), 0.0);
    let v = e.x * e.y;
    let c = clamp(x, -200.0, 200.0);
    let d = fence(c + 1.1924312114715576) + 3.043937595e-9;
    let q = expm1_about(d, v, 3.2950826);
    let w = 5.2139301 * d + q * (1.1940339 + 1.2139301 * d + q * (0.45226032 + q * 0.027951242));
    let left_r = 1.0 / (2.0 + v * (2.0 + v));
    let left = (e.x * left_r * (w * left_r)) * (e.y * m);
    let right_r = 1.0 / (1.0 + 2.0 * v * (1.0 + v));
    let right = m * ((1.0 + v * (4.0 + v * ((4.0 * c + 6.0) + v * (4.0 * (c + 1.0))))) * right_r * right_r);
    return select(right, left, is_negative(x));
}

fn xielu_grad(x: f32, m: f32, alpha_p: vec2<f32>, alpha_n: vec2<f32>, beta: vec2<f32>, eps: vec2<f32>) -> f32 {
    let right = 2.0 * ((m * alpha_p.x) * x) + m * beta.x;
    let e = select(vec2<f32>(-1.0, 0.0), expm1_2(min(x, 0.0)), below(x, eps));
    let left = add2(mul2(alpha_n, e), beta);
    return select(m * (left.x + left.y), right, is_positive(x));
}

fn xielu_learned(x: f32, m: f32, alpha_p: vec2<f32>, alpha_n: vec2<f32>, beta: vec2<f32>, eps: vec2<f32>) -> array<f32, 2> {
    let right = select(0.0, x, is_positive(x));
    let left = select(xielu_curve(min(x, 0.0), eps), 0.0, is_positive(x));
    return array<f32, 2>((m * right) * right, m * left);
}

/// a * n, exactly enough for a small whole n.
fn times(a: vec2<f32>, n: f32) -> vec2<f32> {
    return mul2(a, vec2<f32>(n, 0.0));
}

/// (P' Q - P Q') / Q^2; next to 0 it is taken a little further out, where the sign of the inner sum is still known
fn rational_grad(x: f32, m: f32, a0: vec2<f32>, a1: vec2<f32>, a2: vec2<f32>, a3: vec2<f32>, a4: vec2<f32>, a5: vec2<f32>,
                 b1: vec2<f32>, b2: vec2<f32>, b3: vec2<f32>, b4: vec2<f32>) -> f32 {
    let c = select(with_sign(max(abs(x), 1e-12), x), x, (bitcast<u32>(x) & 0x7fffffffu) == 0u);
    let r = rational_parts(c, a0, a1, a2, a3, a4, a5, b1, b2, b3, b4);
    let s = exp2i(-r.exponent);
    let s2 = s * s;
    let s3 = s2 * s;
    let x1 = vec2<f32>(r.f, 0.0);
    var dp = add2(mul2(times(a5, 5.0), x1), times(a4, 4.0) * s);
    dp = add2(mul2(dp, x1), times(a3, 3.0) * s2);
    dp = add2(mul2(dp, x1), 2.0 * a2 * s3);
    dp = add2(mul2(dp, x1), a1 * (s2 * s2));
    var du = add2(mul2(times(b4, 4.0), x1), times(b3, 3.0) * s);
    du = add2(mul2(du, x1), 2.0 * b2 * s2);
    du = add2(mul2(du, x1), b1 * s3);
    let n = add2(mul2(dp, r.q), -sign(r.u.x) * mul2(r.p, du));
    let inverse = 1.0 / r.q.x;
    let scaled_grad = (n.x + n.y) * inverse * inverse;
    // Where the high coefficients are 0, the scaled parts of a huge x underflow: as in rational_value.
    let sums = rational_plain(c, a0, a1, a2, a3, a4, a5, b1, b2, b3, b4);
    let q = 1.0 + sums.y;
    let plain_dp = a1.x + c * (2.0 * a2.x + c * (3.0 * a3.x + c * (4.0 * a4.x + c * (5.0 * a5.x))));
    let plain_du = sign(r.u.x) * (b1.x + c * (2.0 * b2.x + c * (3.0 * b3.x + c * (4.0 * b4.x))));
    let plain = (plain_dp - sums.x / q * plain_du) / q;
    return m * select(scaled_grad, plain, r.exponent > 31 && (n.x == 0.0 || r.q.x == 0.0));
}

fn rational_learned(x: f32, m: f32, a0: vec2<f32>, a1: vec2<f32>, a2: vec2<f32>, a3: vec2<f32>, a4: vec2<f32>, a5: vec2<f32>,
                    b1: vec2<f32>, b2: vec2<f32>, b3: vec2<f32>, b4: vec2<f32>) -> array<f32, 10> {
    let r = rational_parts(x, a0, a1, a2, a3, a4, a5, b1, b2, b3, b4);
    let s = exp2i(-r.exponent);
    let f = r.f;
    let da = m / r.q.x;
    let db = -sign(r.u.x) * da * ((r.p.x + r.p.y) / r.q.x);
    let s2 = s * s;
    let f2 = f * f;
    return array<f32, 10>(
        da * (s2 * s2), da * (f * s2 * s), da * (f2 * s2), da * (f2 * f * s), da * (f2 * f2), scaled(da * (f2 * f2 * f), r.exponent),
        db * (f * s2), db * (f2 * s), db * (f2 * f), scaled(db * (f2 * f2), r.exponent));
}

/// For half = h.x * h.y, the derivative at -|x|: m * half there, m * (1 - half) at |x|.
fn mirrored(h: vec2<f32>, negative: bool, m: f32) -> f32 {
    return select(m * (1.0 - h.x * h.y), h.x * (h.y * m), negative);
}

/// d/dx of x sigmoid(beta x), which depends on z = beta x alone: sigmoid(z) (1 + z sigmoid(-z)).
/// For z = -t the bracket is (1 + e - t) / (1 + e), and 1 + e - t = (t0 - 1) (e^(t0 - t) - 1) + (t0 - t)
/// with t0 its root: both terms have one sign, so nothing cancels.
fn self_gated_grad(z: vec2<f32>, m: f32) -> f32 {
    let negative = is_negative(z.x);
    let t = abs(z.x);
    let low = select(z.y, -z.y, negative);
    let e = exp_split(-t, -low);
    let v = e.x * e.y;
    let d = fence(1.2784645557403564 - min(t, 200.0)) - (1.297928265e-8 + low);
    let n = 0.27846454 * expm1_about(d, v, 3.5911214) + d;
    let r = 1.0 / (1.0 + v);
    return mirrored(vec2<f32>(e.x * r * (n * r), e.y), negative, m);
}
