// Second stage: one invocation a sum adds up the splits, in order.

struct Params {
    /// All sums, and how many splits each has.
    sums: u32,
    splits: u32,
    /// The sums of this output: the first one's number, how many, and the place of the first in the output.
    first: u32,
    count: u32,
    offset: u32,
    /// Whether they are added to what is there.
    accumulate: u32,
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    params = uniforms;
    let id = (group.y * groups.x + group.x) * 64u + local;
    if id >= params.count {
        return;
    }
    var total = select(0.0, sums_data[params.offset + id], params.accumulate != 0u);
    for (var s = 0u; s < params.splits; s++) {
        total += partials_data[s * params.sums + params.first + id];
    }
    sums_data[params.offset + id] = total;
}
