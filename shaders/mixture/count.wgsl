// How many slots each expert has.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let expert = workgroup_number(group, groups);
    if expert >= uniforms.experts {
        return;
    }
    let s = stretch(local, expert);
    if local == 0u {
        store_counts(expert, f32(s.all));
    }
}
