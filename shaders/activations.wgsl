// The textbook page: one pure function per activation.
//
// Each returns m * f(x). The factor m is 1 in an activation, `up` in a gate; multiplying inside keeps the
// product right where f(x) alone would be below the smallest f32. Parameters are vec2(high, low).

/// x
fn identity_value(x: f32, m: f32) -> f32 {
    return m * x;
}

/// max(x, 0)
fn relu_value(x: f32, m: f32) -> f32 {
    return m * select(x, 0.0, is_below_zero(x));
}

/// min(max(x, 0), 6)
fn relu6_value(x: f32, m: f32) -> f32 {
    return m * select(min(x, 6.0), 0.0, is_below_zero(x));
}

/// max(x, 0)^2
fn relu_squared_value(x: f32, m: f32) -> f32 {
    let r = select(0.0, x, is_positive(x));
    return (m * r) * r;
}

/// x for x > 0, slope * x otherwise
fn leaky_relu_value(x: f32, m: f32, slope: vec2<f32>) -> f32 {
    return m * select(slope.x * x, x, is_positive(x));
}

fn prelu_value(x: f32, m: f32, slope: vec2<f32>) -> f32 {
    return leaky_relu_value(x, m, slope);
}

fn rrelu_value(x: f32, m: f32, lower: vec2<f32>, upper: vec2<f32>, mean: vec2<f32>) -> f32 {
    return leaky_relu_value(x, m, mean);
}

/// x for x > limit, value otherwise
fn threshold_value(x: f32, m: f32, limit: vec2<f32>, value: vec2<f32>) -> f32 {
    return m * select(value.x, x, above(x, limit));
}

fn fatrelu_value(x: f32, m: f32, limit: vec2<f32>) -> f32 {
    return threshold_value(x, m, limit, vec2<f32>(0.0, 0.0));
}

/// x for x > 0, alpha * (e^x - 1) otherwise
fn elu_value(x: f32, m: f32, alpha: vec2<f32>) -> f32 {
    return m * select(alpha.x * expm1(select(x, 0.0, is_positive(x))), x, is_positive(x));
}

/// scale * elu(x), both constants chosen so that mean 0 and variance 1 are a fixed point
fn selu_value(x: f32, m: f32) -> f32 {
    return m * select(1.7580993408473766 * expm1(select(x, 0.0, is_positive(x))), 1.0507009873554805 * x, is_positive(x));
}

/// max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0)
fn celu_value(x: f32, m: f32, alpha: vec2<f32>, inverse: vec2<f32>) -> f32 {
    // A negative alpha has e^z on its left; it overflows by a factor of e^40.
    let z = x * inverse.x;
    let far = z > 60.0;
    let left = alpha.x * expm1(select(z, z - 40.0, far)) * select(1.0, 2.3538527e17, far);
    // Next to 0 it is x itself, without passing through x / alpha, which may be subnormal.
    return m * select(left, x, is_positive(x) || abs(x) < 1e-8 * abs(alpha.x));
}

/// 1 / (1 + e^-x)
fn sigmoid_value(x: f32, m: f32) -> f32 {
    return sigmoid_times(vec2<f32>(x, 0.0), 1.0, m);
}

/// -log(1 + e^-x) = min(x, 0) - log(1 + e^-|x|)
fn logsigmoid_value(x: f32, m: f32) -> f32 {
    let e = exp_split(-abs(x), 0.0);
    let log1p_e = (e.x * log1p_ratio(e.x * e.y)) * (e.y * m);
    return select(-log1p_e, m * x - log1p_e, is_negative(x));
}

/// tanh x
fn tanh_value(x: f32, m: f32) -> f32 {
    return m * tanh_total(x);
}

/// x - tanh x; for |x| >= 1 as (|x| - 1) + 2 / (e^2|x| + 1), where nothing cancels
fn tanhshrink_value(x: f32, m: f32) -> f32 {
    let a = abs(x);
    let e = exp_split(-2.0 * a, 0.0);
    let far = (a - 1.0) + 2.0 * (e.x * e.y) / (1.0 + e.x * e.y);
    let c = min(a, 1.0);
    let near = c * (c * c * tanhshrink_near(c * c));
    return m * with_sign(select(near, far, a >= 1.0), x);
}

/// x / (1 + |x|); past 2^30 it is 1 to the last bit
fn softsign_value(x: f32, m: f32) -> f32 {
    let c = clamp(x, -1073741824.0, 1073741824.0);
    return m * (c / (1.0 + abs(c)));
}

/// x where beta * x > limit, log(1 + e^(beta * x)) / beta otherwise
fn softplus_value(x: f32, m: f32, beta: vec2<f32>, limit: vec2<f32>, inverse: vec2<f32>) -> f32 {
    let z = product(x, beta);
    let e = exp_split(-abs(z.x), select(-z.y, z.y, is_negative(z.x)));
    let log1p_e = (e.x * (log1p_ratio(e.x * e.y) * inverse.x)) * (e.y * m);
    let curve = select(m * x + log1p_e, log1p_e, is_negative(z.x));
    return select(curve, m * x, above2(z, limit));
}

/// sqrt(log(1 + e^x)) = e^(x / 2) sqrt(log(1 + e^x) / e^x)
fn sqrtsoftplus_value(x: f32, m: f32) -> f32 {
    let h = exp_split(-0.5 * abs(x), 0.0);
    let e = (h.x * h.y) * (h.x * h.y);
    let ratio = log1p_ratio(e);
    return select(m * sqrt(x + e * ratio), (h.x * sqrt(ratio)) * (h.y * m), is_negative(x));
}

/// clamp(x, low, high)
fn hardtanh_value(x: f32, m: f32, low: vec2<f32>, high: vec2<f32>) -> f32 {
    return m * min(max(x, low.x), high.x);
}

/// clamp(x / 6 + 1/2, 0, 1)
fn hardsigmoid_value(x: f32, m: f32) -> f32 {
    return m * (clamp(x + 3.0, 0.0, 6.0) * 0.16666667);
}

/// x * clamp(x + 3, 0, 6) / 6
fn hardswish_value(x: f32, m: f32) -> f32 {
    let inside = x * (clamp(x + 3.0, 0.0, 6.0) * 0.16666667);
    return m * select(select(inside, x, x >= 3.0), -0.0, x <= -3.0);
}

/// x - lambda for x > lambda, x + lambda for x < -lambda, 0 between
fn softshrink_value(x: f32, m: f32, lambda: vec2<f32>) -> f32 {
    let rest = fence(abs(x) - lambda.x) - lambda.y;
    return m * with_sign(select(0.0, rest, above(abs(x), lambda)), x);
}

/// x for |x| > lambda, 0 otherwise
fn hardshrink_value(x: f32, m: f32, lambda: vec2<f32>) -> f32 {
    return m * select(0.0, x, above(abs(x), lambda));
}

/// x / (1 + e^-x)
fn silu_value(x: f32, m: f32) -> f32 {
    return sigmoid_times(vec2<f32>(x, 0.0), max(x, -MAX_F32), m);
}

/// x / (1 + e^(-beta x))
fn swish_value(x: f32, m: f32, beta: vec2<f32>) -> f32 {
    let z = product(x, beta);
    return sigmoid_times(z, select(x, finite(x), is_below_zero(z.x)), m);
}

fn quick_gelu_value(x: f32, m: f32) -> f32 {
    return swish_value(x, m, vec2<f32>(1.7020000219345093, -2.193450928e-8));
}

/// x Phi(x) = max(x, 0) - |x| Phi(-|x|); next to 0, x / 2 + x^2 / sqrt(2 pi) without subnormal parts
fn gelu_value(x: f32, m: f32) -> f32 {
    let t = min(abs(x), 20.0);
    let tail = normal_tail(vec2<f32>(t, 0.0), t);
    let near = (m * x) * (0.5 + 0.3989423 * x);
    return select(select(m * (x - tail.x * tail.y), -tail.x * (tail.y * m), is_negative(x)), near, t < 1e-5);
}

/// gelu(x) clipped to [-10, 10]; the lower limit is never reached
fn gelu_10_value(x: f32, m: f32) -> f32 {
    return gelu_value(min(x, 10.0), m);
}

/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x / (1 + e^(-2 sqrt(2 / pi) (...)))
fn gelu_tanh_value(x: f32, m: f32) -> f32 {
    return sigmoid_times(gelu_tanh_argument(x), max(x, -MAX_F32), m);
}

/// Phi((x - 0.707107) / 0.282095)
fn laplace_value(x: f32, m: f32) -> f32 {
    let z = laplace_argument(x);
    let negative = is_negative(z.x);
    let tail = normal_tail(vec2<f32>(abs(z.x), select(z.y, -z.y, negative)), 1.0);
    return select(m - tail.x * (tail.y * m), tail.x * (tail.y * m), negative);
}

/// x tanh(log(1 + e^x)) = x (e^2x + 2 e^x) / (e^2x + 2 e^x + 2); with v = e^-|x| the ratio is
/// v (1 - (v + v^2) / (v^2 + 2 v + 2)) for x < 0 and 1 - 2 v^2 / (1 + 2 v + 2 v^2) otherwise
fn mish_value(x: f32, m: f32) -> f32 {
    let e = exp_split(-abs(x), 0.0);
    let v = e.x * e.y;
    let w = v * v;
    let negative = is_negative(x);
    let ratio = 1.0 - select(2.0 * w, v + w, negative) / ((1.0 + 2.0 * v) + select(2.0 * w, 1.0 + w, negative));
    return weighted(m, max(x, -MAX_F32), select(ratio, e.x * ratio, negative), select(1.0, e.y, negative));
}

/// alpha_p x^2 + beta x for x > 0, alpha_n (e^min(x, eps) - 1 - x) + beta x otherwise
fn xielu_value(x: f32, m: f32, alpha_p: vec2<f32>, alpha_n: vec2<f32>, beta: vec2<f32>, eps: vec2<f32>) -> f32 {
    let right = x * (alpha_p.x * finite(x) + beta.x);
    let c = min(x, 0.0);
    let e = expm1_2(min(c, eps.x));
    // Grouped so that at -inf only one infinity is left, and the smallest terms cancel at the root.
    let slope = add2(beta, -alpha_n);
    let far = select(slope.x * c, 0.0, slope.x == 0.0);
    let line = select(vec2<f32>(far, 0.0), mul2(slope, vec2<f32>(c, 0.0)), c > -1e30);
    let curve = add2(mul2(alpha_n, e), line);
    let near = alpha_n.x * xielu_curve(c, eps) + beta.x * c;
    let left = select(select(curve.x + curve.y, far - alpha_n.x, c < -1e30), near, c > -0.3);
    return m * select(left, right, is_positive(x));
}

/// Padé activation unit with denominator 1 + |b1 x + ... + b4 x^4|
fn rational_value(x: f32, m: f32, a0: vec2<f32>, a1: vec2<f32>, a2: vec2<f32>, a3: vec2<f32>, a4: vec2<f32>, a5: vec2<f32>,
                  b1: vec2<f32>, b2: vec2<f32>, b3: vec2<f32>, b4: vec2<f32>) -> f32 {
    let r = rational_parts(x, a0, a1, a2, a3, a4, a5, b1, b2, b3, b4);
    let ratio = (r.p.x + r.p.y) / (r.q.x + r.q.y);
    // Where the high coefficients are 0, the scaled parts of a huge x underflow, and plain ones do not overflow.
    let sums = rational_plain(finite(x), a0, a1, a2, a3, a4, a5, b1, b2, b3, b4);
    let plain = sums.x / (1.0 + sums.y);
    let lost = r.exponent > 31 && (r.p.x == 0.0 || r.q.x == 0.0);
    let value = select(scaled(m * ratio, r.exponent), m * plain, lost);
    // At an infinity the leading terms are all there is.
    return select(value, m * (a5.x * x), abs(x) > MAX_F32 && a5.x != 0.0);
}

/// z + z.low > limit
fn above2(z: vec2<f32>, limit: vec2<f32>) -> bool {
    return fence(z.x - limit.x) + (z.y - limit.y) > 0.0;
}

/// 2 sqrt(2 / pi) (x + 0.044715 x^3) as high + low, by products of heads so short that they are exact; |x| past 14
/// changes nothing
fn gelu_tanh_argument(x: f32) -> vec2<f32> {
    let c = clamp(x, -14.0, 14.0);
    let h = bitcast<f32>(bitcast<u32>(c) & 0xffff0000u);
    let square = h * h;
    let cubic = 0.0712890625 * square;
    let cubic_low = 6.5753773e-5 * square + 0.071354814 * ((c - h) * (c + h));
    // The slope z / x, its high part on a grid of 2^-7.
    let grid = round((cubic + cubic_low) * 128.0) * 0.0078125;
    let slope = 1.59375 + grid;
    let slope_low = (fence(cubic - grid) + cubic_low) + 2.0191216e-3;
    let long = head(c);
    return vec2<f32>(slope * long, slope * (c - long) + slope_low * c);
}

/// (x - 0.707107) / 0.282095 as high + low; the subtraction is exact on a grid of 2^-12
fn laplace_argument(x: f32) -> vec2<f32> {
    let c = clamp(x, -16.0, 16.0);
    let grid = floor(c * 4096.0) * 0.000244140625;
    let low = fence(c - grid) - 7.575e-5;
    let z = product(grid - 0.70703125, vec2<f32>(3.544905185699463, -1.005331182e-7));
    return two_sum(z.x, z.y + low * 3.5449052);
}

/// e^min(x, eps) - 1 - x for x <= 0
fn xielu_curve(x: f32, eps: vec2<f32>) -> f32 {
    let s = min(x, eps.x);
    let near = s * s * exp_tail(max(s, -0.35)) + (s - x);
    let e = expm1_2(s);
    return select(fence(e.x - x) + e.y, near, s > -0.3);
}

struct Rational {
    /// Numerator and inner sum of the denominator, divided by 2^(5 exponent) and 2^(4 exponent).
    p: vec2<f32>,
    u: vec2<f32>,
    /// Denominator, divided by 2^(4 exponent).
    q: vec2<f32>,
    /// Significand of x, and the power of 2 taken out of it.
    f: f32,
    exponent: i32,
}

/// value * 2^exponent for an exponent up to 126
fn scaled(value: f32, exponent: i32) -> f32 {
    return value * exp2i(exponent);
}

/// The numerator and |inner sum of the denominator| by f32 alone
fn rational_plain(x: f32, a0: vec2<f32>, a1: vec2<f32>, a2: vec2<f32>, a3: vec2<f32>, a4: vec2<f32>, a5: vec2<f32>,
                  b1: vec2<f32>, b2: vec2<f32>, b3: vec2<f32>, b4: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(a0.x + x * (a1.x + x * (a2.x + x * (a3.x + x * (a4.x + x * a5.x)))),
                     abs(x * (b1.x + x * (b2.x + x * (b3.x + x * b4.x)))));
}

/// Horner's scheme in high + low on x / 2^k, so that no power of x overflows and no root loses digits
fn rational_parts(x: f32, a0: vec2<f32>, a1: vec2<f32>, a2: vec2<f32>, a3: vec2<f32>, a4: vec2<f32>, a5: vec2<f32>,
                  b1: vec2<f32>, b2: vec2<f32>, b3: vec2<f32>, b4: vec2<f32>) -> Rational {
    let c = finite(x);
    let k = clamp(i32((bitcast<u32>(c) >> 23u) & 0xffu) - 127, 0, 126);
    let s = exp2i(-k);
    let f = c * s;
    let s2 = s * s;
    let s3 = s2 * s;
    let s4 = s2 * s2;
    let x1 = vec2<f32>(f, 0.0);
    var p = add2(mul2(a5, x1), a4 * s);
    p = add2(mul2(p, x1), a3 * s2);
    p = add2(mul2(p, x1), a2 * s3);
    p = add2(mul2(p, x1), a1 * s4);
    p = add2(mul2(p, x1), a0 * (s4 * s));
    var u = add2(mul2(b4, x1), b3 * s);
    u = add2(mul2(u, x1), b2 * s2);
    u = add2(mul2(u, x1), b1 * s3);
    u = mul2(u, x1);
    let q = add2(select(u, -u, is_negative(u.x)), vec2<f32>(s4, 0.0));
    return Rational(p, u, q, f, k);
}
