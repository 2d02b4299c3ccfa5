// Total helpers: each takes every f32 and none forms a quantity that overflows on the way to a finite
// result. Guards live here only. Coefficients: scripts/fit-polynomials.
//
// Two ideas carry the accuracy.
//  - A product or sum whose rounding matters is kept as vec2(high, low), two f32 whose sum is meant.
//    Products are split by masking bits, and sums are fenced, so that a compiler which rearranges
//    arithmetic as if it were exact (Metal's default, and Mesa's) has nothing to rearrange.
//  - e^x is returned as two factors. Their product may be below the smallest f32 while the caller's
//    x * e^x is not, so the caller multiplies its own operands in between.

const MAX_F32 = 3.4028234663852886e38;

/// Tested by bits: drivers may assume that NaN does not exist.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

/// The sign bit, also of -0.
fn is_negative(x: f32) -> bool {
    return bitcast<i32>(x) < 0;
}

/// x > 0, also for subnormal x on a device that flushes them.
fn is_positive(x: f32) -> bool {
    return bitcast<i32>(x) > 0;
}

/// x < 0, which -0 is not, also for subnormal x on a device that flushes them.
fn is_below_zero(x: f32) -> bool {
    return bitcast<u32>(x) > 0x80000000u;
}

/// |magnitude| with the sign of `sign`. Not by masking both and joining them: Mesa 26 on LLVM 22 compiles
/// that wrongly in some kernels (seen: sign & ~magnitude).
fn with_sign(magnitude: f32, sign: f32) -> f32 {
    return select(abs(magnitude), -abs(magnitude), is_negative(sign));
}

/// Infinities become the largest finite numbers, so that their product with 0 is 0.
fn finite(x: f32) -> f32 {
    return clamp(x, -MAX_F32, MAX_F32);
}

/// x > limit for a limit given as high + low.
fn above(x: f32, limit: vec2<f32>) -> bool {
    return x > limit.x || (x == limit.x && limit.y < 0.0);
}

/// x < limit for a limit given as high + low.
fn below(x: f32, limit: vec2<f32>) -> bool {
    return above(-x, -limit);
}

/// x itself. `params.fence` is always 0, which the compiler cannot know.
fn fence(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params.fence);
}

/// The upper 12 bits of the significand: products of two heads are exact.
fn head(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

/// x * (b.x + b.y) as high + low, high being the rounded product (Dekker 1971). Past +-170, where only the
/// size matters to any caller, low is 0.
fn product(x: f32, b: vec2<f32>) -> vec2<f32> {
    let c = finite(x);
    let high = fence(c * b.x);
    let ch = head(c);
    let bh = head(b.x);
    let cl = c - ch;
    let bl = b.x - bh;
    let low = fence(fence(fence(ch * bh - high) + ch * bl) + cl * bh) + (cl * bl + c * b.y);
    return select(vec2<f32>(high, low), vec2<f32>(finite(high), 0.0), abs(high) > 170.0);
}

/// a + b as high + low, exactly (Knuth 1969).
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let sum = fence(a + b);
    let b_part = fence(sum - a);
    let a_part = fence(sum - b_part);
    return vec2<f32>(sum, fence(a - a_part) + (b - b_part));
}

/// a + b for operands that are high + low.
fn add2(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let s = two_sum(a.x, b.x);
    return two_sum(s.x, s.y + (a.y + b.y));
}

/// a * b for operands that are high + low, below overflow.
fn mul2(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let ah = head(a.x);
    let bh = head(b.x);
    return vec2<f32>(ah * bh, ah * (b.x - bh) + (a.x - ah) * b.x + (a.x * b.y + a.y * b.x));
}

/// 2^k for -127 < k < 128; 0 for k = -127.
fn exp2i(k: i32) -> f32 {
    return bitcast<f32>(u32(k + 127) << 23u);
}

/// A whole n, |n| < 2^22, as an integer: the lowest bits of n + 1.5 * 2^23. Drivers that let i32() saturate may
/// convert one element after the other, which costs more than all else in e^x.
fn whole(n: f32) -> i32 {
    return bitcast<i32>(n + 12582912.0) - 0x4b400000;
}

const LOG2_E = 1.442695041;
// ln 2 in two parts; the first has 10 bits, so that its product with an exponent is exact.
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.12194440e-4;

/// (e^r - 1 - r) / r^2 for |r| <= 0.35. Here and below in pairs, not by Horner's scheme: all else waits for it.
fn exp_tail(r: f32) -> f32 {
    let s = r * r;
    return (0.5 + r * 0.16666666) + s * ((0.041666348 + r * 0.0083333915) + s * (1.3941653e-3 + r * 1.9845957e-4));
}

/// e^r - 1 for |r| <= 0.35.
fn expm1_near(r: f32) -> f32 {
    return r + r * r * exp_tail(r);
}

/// e^(x + low) for x <= 175 and |low| < 0.6 as (1 + v.x) * v.y * v.z, each factor a normal number; 0 below e^-176, which
/// takes two factors of 2^126 to become normal.
fn exp_parts(x: f32, low: f32) -> vec3<f32> {
    // Here half is -127.
    let c = max(x, -175.7);
    let n = round((c + low) * LOG2_E);
    let r = fence(c - n * LN2_HIGH) + (low - n * LN2_LOW);
    let s = r * r;
    let rest = r + s * ((0.49999994 + r * 0.16666515) + s * ((0.041668456 + r * 8.369419e-3) + s * 1.3813142e-3));
    let k = whole(n);
    let half = k >> 1u;
    return vec3<f32>(rest, exp2i(half), exp2i(k - half));
}

/// e^(x + low) as two factors, in the same range.
fn exp_split(x: f32, low: f32) -> vec2<f32> {
    let v = exp_parts(x, low);
    return vec2<f32>((1.0 + v.x) * v.y, v.z);
}

/// e^x for x <= 0.
fn exponential(x: f32) -> f32 {
    let e = exp_split(x, 0.0);
    return e.x * e.y;
}

/// e^x - 1 for -40 <= x <= 88 as 2^n (e^r - 1) + (2^n - 1); the sign of 0 is lost.
fn expm1_within(x: f32) -> f32 {
    let n = round(x * LOG2_E);
    let r = fence(x - n * LN2_HIGH) - n * LN2_LOW;
    let s = exp2i(whole(n));
    return s * expm1_near(r) + fence(s - 1.0);
}

/// e^x - 1 for x <= 80, where it ends.
fn expm1(x: f32) -> f32 {
    return select(expm1_within(clamp(x, -40.0, 80.0)), x, abs(x) < 1e-8);
}

/// e^x - 1 for x <= 0 as high + low, good to 2^-28.
fn expm1_2(x: f32) -> vec2<f32> {
    let c = max(x, -40.0);
    let n = round(c * LOG2_E);
    let r = fence(c - n * LN2_HIGH);
    let low = -n * LN2_LOW;
    let s = exp2i(whole(n));
    let whole = two_sum(s * r, s - 1.0);
    return two_sum(whole.x, whole.y + s * (low + (r + low) * (r + low) * exp_tail(r + low)));
}

/// log(1 + e) / e for 0 <= e <= 1, by 2 atanh(e / (2 + e)).
fn log1p_ratio(e: f32) -> f32 {
    let r = 1.0 / (2.0 + e);
    let s = e * r;
    let z = s * s;
    return 2.0 * r * (1.0 + z * (0.33333158 + z * (0.20012455 + z * (0.13980302 + z * 0.14089163))));
}

/// tanh x = -(e^-2|x| - 1) / (e^-2|x| + 1), signed. By e^2|x| it would not rise everywhere: t / (t + 2) falls by a unit
/// here and there where t is large.
fn tanh_total(x: f32) -> f32 {
    let t = expm1_within(-2.0 * min(abs(x), 20.0));
    return with_sign(t / (2.0 + t), x);
}

/// (x - tanh x) / x^3 for x^2 = z <= 1.
fn tanhshrink_near(z: f32) -> f32 {
    return 0.33333334 + z * (-0.1333331 + z * (0.05396342 + z * (-0.021829585 + z * (8.697949e-3
        + z * (-3.2069508e-3 + z * (9.236072e-4 + z * -1.4282338e-4))))));
}

/// m * s * a * b for b a power of 2 that may take the product of the others below the smallest f32, and a between.
fn weighted(m: f32, s: f32, a: f32, b: f32) -> f32 {
    // m early where s is small, late where it is large: no step on the way overflows or underflows alone. The fence
    // keeps a and b apart, whose product may: GL's compiler multiplies them first.
    let large = abs(s) > 1.0;
    return fence((select(m, 1.0, large) * s) * a) * (select(1.0, m, large) * b);
}

/// m * s / (1 + e^-z) for z = z.x + z.y; s is finite where z is negative.
fn sigmoid_times(z: vec2<f32>, s: f32, m: f32) -> f32 {
    let negative = is_below_zero(z.x);
    let e = exp_split(-abs(z.x), select(0.0 - z.y, z.y, negative));
    let d = 1.0 + e.x * e.y;
    return weighted(m, s, select(1.0, e.x, negative) / d, select(1.0, e.y, negative));
}

/// e^-|x| / (1 + e^-|x|)^2, the derivative of the logistic function at x = x.x + x.y, as two factors.
fn logistic_grad(x: vec2<f32>) -> vec2<f32> {
    let e = exp_split(-abs(x.x), select(0.0 - x.y, x.y, is_negative(x.x)));
    return e * (1.0 / (1.0 + e.x * e.y));
}

/// -t^2 / 2 as high + low for t = t.x + t.y >= 0.
fn gauss_argument(t: vec2<f32>) -> vec2<f32> {
    let c = min(t.x, 20.0);
    let h = head(c);
    return vec2<f32>(-0.5 * (h * h), -0.5 * ((c - h) * (c + h)) - c * t.y);
}

/// e^(-t^2 / 2) as two factors.
fn gauss(t: vec2<f32>) -> vec2<f32> {
    let z = gauss_argument(t);
    return exp_split(z.x, z.y);
}

/// s Phi(-t) as two factors, the second a power of 2, for t = t.x + t.y >= 0 and s = 1 or t.
fn normal_tail(t: vec2<f32>, s: f32) -> vec2<f32> {
    let c = min(t.x, 20.0);
    // Phi(-c) e^(c^2 / 2) = p / (q + 2 c p). All terms are positive, and most of p's rounding is in the divisor too.
    let p = 100.019356 + c * (87.063385 + c * (36.196507 + c * (7.9728136 + c * 0.8)));
    let q = 200.03871 + c * (133.6959 + c * (64.5279 + c * (20.31012 + c * (4.040741 + c * 0.40527377))));
    let z = gauss_argument(t);
    let e = exp_parts(z.x, z.y);
    let w = (s * p / (q + 2.0 * (c * p))) * e.y;
    return vec2<f32>(w + w * e.x, e.z);
}

/// mills(t) - t / sqrt(2 pi), as (root - t) * polynomial, so that it is right around its root.
fn mills_slope(t: f32) -> f32 {
    let q = (t - 2.5) / (t + 2.5);
    let s = 0.48965806 + q * (-0.12899442 + q * (0.044764243 + q * (-4.5067193e-3 + q * (-2.7272454e-3 + q * (4.5327065e-4
        + q * (3.6716048e-4 + q * (-1.1582511e-5 + q * (-5.55347e-5 + q * (-9.214502e-6 + q * 2.6484174e-6)))))))));
    return (fence(0.75179154 - t) - 1.211444946e-8) * s;
}

/// e^(d) - 1 near 0, else from e^(root + d) = e_root * (1 + result), which is at hand.
fn expm1_about(d: f32, e: f32, inverse_e_root: f32) -> f32 {
    return select(e * inverse_e_root - 1.0, expm1_near(d), abs(d) < 0.34);
}
