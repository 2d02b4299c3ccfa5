// First stage of every sum over elements. Invocation (split, channel) adds up
// every SPLITS-th element of its channel, in order: neighbours read neighbours, and the sum is the same on
// every run. TERMS sums are kept side by side.

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    /// The terms of this dispatch, first..end, of those that go into one sum.
    first: u32,
    end: u32,
    /// Sums of each kind; elements that lie side by side in one sum.
    sums: u32,
    sum_inner: u32,
    /// Splits of this dispatch, and those of the dispatches before it.
    splits: u32,
    first_split: u32,
    /// As for the elementwise kernels.
    width: u32,
    channels: u32,
    inner: u32,
    learned_channels: u32,
    bias_channels: u32,
    offsets: array<vec4<u32>, 3>,
    constants: array<vec4<f32>, 5>,
    random: array<vec4<u32>, 2>,
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    params = uniforms;
    let id = (group.y * groups.x + group.x) * 64u + local;
    if id >= params.sums * params.splits {
        return;
    }
    let c = id % params.sums;
    let split = id / params.sums;
    var sums: array<f32, TERMS>;
    for (var j = params.first + split; j < params.end; j += params.splits) {
        add_terms(((j / params.sum_inner) * params.sums + c) * params.sum_inner + j % params.sum_inner, &sums);
    }
    for (var k = 0u; k < TERMS; k++) {
        partials_data[((params.first_split + split) * TERMS + k) * params.sums + c] = sums[k];
    }
}
