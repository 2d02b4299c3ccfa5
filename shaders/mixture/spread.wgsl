// A token's gradient times the weight of each choice, to the row of that.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let id = workgroup_number(group, groups) * 64u + local;
    if id >= params.tokens * params.top_k * params.width {
        return;
    }
    let slot = id / params.width;
    let col = id % params.width;
    let v = load_weights(slot) * load_dy(slot / params.top_k * params.width + col);
    store_rows(places_word(slot) * params.width + col, v);
}
