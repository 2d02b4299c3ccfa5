// Of y = sigmoid(logit) s for each token: the gradient of s, and that of the logit. A workgroup a token.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let token = workgroup_number(group, groups);
    if token >= uniforms.tokens {
        return;
    }
    let logit = load_sigmoids(token);
    let first = token * params.width;
    var sum = 0.0;
    for (var i = local; i < params.width; i += 64u) {
        let dy = load_dy(first + i);
        sum += dy * load_shared(first + i);
        store_dshared(first + i, logistic(logit, dy));
    }
    let gradient = total(local, sum);
    if local == 0u {
        let slope = logistic_grad(vec2<f32>(logit, 0.0));
        store_dsigmoids(token, select(gradient * slope.x * slope.y, logit, is_nan(logit)));
    }
}
