// The gradient of each weight: the product of its token's gradient and its expert's row. A workgroup a slot.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let slot = workgroup_number(group, groups);
    if slot >= uniforms.tokens * uniforms.top_k {
        return;
    }
    let row = places_word(slot) * params.width;
    let token = slot / params.top_k * params.width;
    var sum = 0.0;
    for (var i = local; i < params.width; i += 64u) {
        sum += load_dy(token + i) * load_rows(row + i);
    }
    let gradient = total(local, sum);
    if local == 0u {
        store_dweights(slot, gradient);
    }
}
