// The loop of every elementwise kernel: `process(i)` for each unit i of this dispatch. A unit is four
// elements or one: the files in lanes/ say which.

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    /// Units in this dispatch, and the first one's number in the whole operation.
    count: u32,
    first: u32,
    /// Units in a row of gate or of up.
    width: u32,
    /// Channel of element e: (e / inner) % channels.
    channels: u32,
    inner: u32,
    /// Channels of the learned parameters: all of them, or 1.
    learned_channels: u32,
    /// Values of a bias, which belongs to the last dimension.
    bias_channels: u32,
    /// First unit of each operand, less what its index map adds for unit `first`.
    offsets: array<vec4<u32>, 3>,
    /// Parameters of the activation, each as (high, low).
    constants: array<vec4<f32>, 5>,
    /// Of random numbers: the key, the stream, and of dropout what words must reach; the bits of the factor of what is
    /// kept; then numbers of an operation's own.
    random: array<vec4<u32>, 2>,
}

const WORKGROUP = 256u;
const STEPS = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local_id: vec3<u32>) {
    // Of local_invocation_index an adapter on the CPU may make three divisions for every lane; of this, one.
    let local = local_id.x;
    params = uniforms;
    let start = (group.y * groups.x + group.x) * (WORKGROUP * STEPS) + local;
    for (var step = 0u; step < STEPS; step++) {
        let i = start + step * WORKGROUP;
        if i < params.count {
            process(params.first + i);
        }
    }
}
