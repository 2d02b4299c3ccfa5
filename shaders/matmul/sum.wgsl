// The last step of a split depth: the slices' sums are added in their order, then the epilogue.

alias Acc = f32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    begin(0u);
    let row = id.y;
    let col = id.x * 4u;
    if row >= params.rows || col >= params.cols {
        return;
    }
    var t = vec4<f32>();
    for (var slice = 0u; slice < params.slices; slice++) {
        t += a_of(slice * params.rows + row, col);
    }
    store_four(row, col, t.x, t.y, t.z, t.w);
}
