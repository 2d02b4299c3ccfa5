// The ceiling of everything elementwise: as many vectors as fit, from one buffer to another.

struct Params {
    /// Vectors.
    count: u32,
}

const WORKGROUP = 256u;
const STEPS = 4u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let start = (group.y * groups.x + group.x) * (WORKGROUP * STEPS) + local;
    for (var step = 0u; step < STEPS; step++) {
        let i = start + step * WORKGROUP;
        if i < params.count {
            dst_data[i] = src_data[i];
        }
    }
}
