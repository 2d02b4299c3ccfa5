// A token's rows, in the order of its choices, times their weights where there are any; then the shared expert's.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let id = workgroup_number(group, groups) * 64u + local;
    if id >= params.tokens * params.width {
        return;
    }
    let token = id / params.width;
    let col = id % params.width;
    var sum = Lanes();
    for (var slot = token * params.top_k; slot < (token + 1u) * params.top_k; slot++) {
        sum += weight_of(slot) * load_rows(places_word(slot) * params.width + col);
    }
    store_y(id, sum + shared_of(token, id));
}
