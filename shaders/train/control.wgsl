// After the gradients: their norm, whether they are finite, what they are multiplied by (clipping, loss scale), the next
// loss scale (dynamic scaling as in Micikevicius et al. 2018), the learning rate, AdamW's corrections; and a line of the
// history. One invocation, since it is a handful of numbers.

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    /// Sums of squares, one a tensor.
    tensors: u32,
    /// Steps that the history holds.
    history: u32,
    /// Sound steps after which the scale doubles; 0 where it is fixed.
    growth: u32,
    /// Largest norm that is not clipped; 0 for any.
    clip: f32,
    /// What the sum of the losses is multiplied by.
    share: f32,
    /// log(beta) of AdamW.
    log_beta1: f32,
    log_beta2: f32,
    /// The schedule: the rate, over how many updates it rises, and over how many it falls to which other (0: never).
    rate: f32,
    minimum: f32,
    warm_up: u32,
    total: u32,
    offsets: array<vec4<u32>, 1>,
}

const LARGEST_SCALE = 16777216.0;

/// (1 + cos(pi s)) / 2 for 0 <= s <= 1, by the series of sin(pi (s - 1/2)): a built-in cosine may be good to 2^-11 only.
fn falling(s: f32) -> f32 {
    let x = 3.14159265 * (s - 0.5);
    let y = x * x;
    let sine = x * (1.0 + y * (-0.16666667 + y * (8.3333333e-3 + y * (-1.9841270e-4 + y * (2.7557319e-6 + y * -2.5052108e-8)))));
    return 0.5 - 0.5 * sine;
}

/// The learning rate of an update, counted from 0.
fn rate_of(update: u32) -> f32 {
    if update < params.warm_up {
        return params.rate * (f32(update) + 1.0) / f32(params.warm_up);
    }
    if params.total == 0u {
        return params.rate;
    }
    let end = max(params.total, params.warm_up);
    if update >= end {
        return params.minimum;
    }
    return params.minimum + (params.rate - params.minimum) * falling(f32(update - params.warm_up) / f32(end - params.warm_up));
}

/// Tested by bits: drivers may assume that NaN and infinities do not exist.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn counted(k: u32) -> u32 {
    return state_word(k);
}

fn count(k: u32, n: u32) {
    store_state_word(k, n);
}

@compute @workgroup_size(1)
fn main() {
    params = uniforms;
    var squares = 0.0;
    var fault = 0u;
    for (var k = 0u; k < params.tensors; k++) {
        squares += load_norms(k);
        fault = select(fault, k + 1u, fault == 0u && !is_finite(load_norms(k)));
    }
    let scale = load_state(SCALE);
    let norm = sqrt(squares) / scale;
    let finite_norm = is_finite(norm);
    let clipped = params.clip > 0.0 && norm > params.clip;
    let update = counted(UPDATES);
    let rate = rate_of(update);
    store_state(SKIP, select(1.0, 0.0, finite_norm));
    store_state(FACTOR, select(1.0, params.clip / norm, clipped) / scale);
    store_state(NORM, norm);
    store_state(RATE, rate);
    let step = counted(COUNT);
    let line = 5u * (step % params.history);
    store_history(line, load_loss(0u) * params.share);
    store_history(line + 1u, norm);
    store_history(line + 2u, rate);
    store_history(line + 3u, scale);
    store_history(line + 4u, f32(fault));
    count(COUNT, step + 1u);
    if finite_norm {
        count(UPDATES, update + 1u);
        let t = f32(update) + 1.0;
        store_state(CORRECTION1, -expm1(t * params.log_beta1));
        store_state(CORRECTION2, -expm1(t * params.log_beta2));
        let sound = counted(SOUND) + 1u;
        let grows = params.growth != 0u && sound >= params.growth;
        count(SOUND, select(sound, 0u, grows));
        store_state(SCALE, select(scale, min(2.0 * scale, LARGEST_SCALE), grows));
    } else {
        count(SKIPPED, counted(SKIPPED) + 1u);
        count(SOUND, 0u);
        store_state(SCALE, select(scale, max(0.5 * scale, 1.0), params.growth != 0u));
    }
}
