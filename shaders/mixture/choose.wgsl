// The experts of each token and their weights, one workgroup a token: as many rounds as there are choices, each of which
// finds the next expert. Without a bias they are chosen by their logits, since scores rise with these.

/// The largest logit, and 1 / sum(e^(logit - largest)).
struct Softmax {
    largest: f32,
    share: f32,
}

fn softmax(local: u32, first: u32) -> Softmax {
    var own = LAST;
    for (var e = local; e < params.experts; e += LANES) {
        let key = vec2<u32>(rising(load_logits(first + e)), e);
        if precedes(key, own) {
            own = key;
        }
    }
    let largest = load_logits(first + min(top(local, own).y, params.experts - 1u));
    var sum = 0.0;
    for (var e = local; e < params.experts; e += LANES) {
        sum += exponential(load_logits(first + e) - largest);
    }
    return Softmax(largest, 1.0 / total(local, sum));
}

fn score(logit: f32, all: Softmax) -> f32 {
    if SOFTMAX {
        return exponential(logit - all.largest) * all.share;
    }
    return logistic(logit, 1.0);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let token = workgroup_number(group, groups);
    if token >= uniforms.tokens {
        return;
    }
    let first = token * params.experts;
    var all = Softmax(0.0, 1.0);
    if SOFTMAX {
        all = softmax(local, first);
    }
    // Of infinities there is no softmax; the choice then is by logits.
    let sound = !SOFTMAX || (bitcast<u32>(all.largest) & 0x7f800000u) != 0x7f800000u;
    var last = FIRST;
    var sum = 0.0;
    var best = 0.0;
    for (var choice = 0u; choice < uniforms.top_k; choice++) {
        var own = LAST;
        for (var e = local; e < params.experts; e += LANES) {
            let logit = load_logits(first + e);
            let key = vec2<u32>(rising(select(logit, key_of(logit, e, all), sound)), e);
            if precedes(last, key) && precedes(key, own) {
                own = key;
            }
        }
        last = top(local, own);
        if local == 0u {
            let logit = load_logits(first + min(last.y, params.experts - 1u));
            store_experts(token * params.top_k + choice, f32(last.y));
            store_weights(token * params.top_k + choice, score(logit, all));
        }
    }
    if local != 0u {
        return;
    }
    let divisor = select(1.0, chosen_sum(token), params.normalise != 0u);
    for (var choice = 0u; choice < params.top_k; choice++) {
        let slot = token * params.top_k + choice;
        let weight = load_weights(slot) / divisor * params.scale;
        store_weights(slot, select(nan(), weight, sound));
    }
}

/// The sum of a token's weights; never 0, so that weights that are all too small for f32 remain 0.
fn chosen_sum(token: u32) -> f32 {
    var sum = 0.0;
    for (var choice = 0u; choice < params.top_k; choice++) {
        sum += load_weights(token * params.top_k + choice);
    }
    return select(max(sum, 0x1p-126), sum, is_nan(sum));
}
