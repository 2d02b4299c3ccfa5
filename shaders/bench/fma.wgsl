// The ceiling of arithmetic: chains of multiply-adds that never leave the registers. `burn` is rendered: so
// many chains of so many lanes, and what they sum to at the end.

struct Params {
    /// Turns of the loop, each of several steps of every chain.
    turns: u32,
    /// What every accumulator is multiplied by, and what is added: 1 and 1, which the compiler cannot know.
    factor: f32,
    term: f32,
    padding: u32,
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    params = uniforms;
    sums[(group.y * groups.x + group.x) * WORKGROUP + local] = burn(f32(local % 64u));
}
