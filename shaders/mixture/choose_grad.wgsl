// The gradients of a token's logits from those of its weights, one invocation a token. With weights w and their gradients
// d, where a token's weights are divided by their sum: w (d - sum(w d) / sum(w)); else w d. Of a softmax over all experts
// that is less the expert's own share times sum(w d); of a sigmoid it is times 1 - sigmoid.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let token = workgroup_number(group, groups) * 64u + local;
    if token >= params.tokens {
        return;
    }
    let first = token * params.experts;
    let slots = token * params.top_k;
    var sum = 0.0;
    var gradients = 0.0;
    for (var slot = slots; slot < slots + params.top_k; slot++) {
        sum += load_weights(slot);
        gradients += load_weights(slot) * load_dweights(slot);
    }
    var largest = load_logits(first);
    var powers = 0.0;
    if SOFTMAX {
        for (var e = 1u; e < params.experts; e++) {
            largest = max(largest, load_logits(first + e));
        }
        for (var e = 0u; e < params.experts; e++) {
            powers += exponential(load_logits(first + e) - largest);
        }
    }
    let whole = SOFTMAX && params.normalise == 0u;
    for (var e = 0u; e < params.experts; e++) {
        let share = exponential(min(load_logits(first + e) - largest, 0.0)) / powers;
        store_dlogits(first + e, select(0.0, -share * gradients, whole));
    }
    let mean = select(0.0, gradients / sum, params.normalise != 0u);
    for (var slot = slots; slot < slots + params.top_k; slot++) {
        let at = first + min(u32(load_experts(slot)), params.experts - 1u);
        let own = load_weights(slot) * (load_dweights(slot) - mean);
        var rest = 0.0;
        var factor = 1.0;
        if whole {
            rest = load_dlogits(at);
        }
        if !SOFTMAX {
            factor = logistic(-load_logits(at), 1.0);
        }
        store_dlogits(at, own * factor + rest);
    }
}
