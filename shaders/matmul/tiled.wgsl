// A workgroup of 8 x 8 invocations computes 32 x 32 outputs; 16 steps of the depth at a time are staged in
// workgroup memory.

const SIDE = 32u;
const STEPS4 = 4u;

var<workgroup> a_tile: array<vec4<f32>, 128>;
var<workgroup> b_tile: array<B, 128>;

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    params = uniforms;
    let row = group.y * SIDE;
    let col = group.x * SIDE;
    let depth4 = (params.depth + 3u) / 4u;
    var t: Tile;
    for (var k0 = 0u; k0 < depth4; k0 += STEPS4) {
        // 128 vectors of each side for 64 invocations: two each. Tiles are [step][row].
        stage(local, row, col, k0, depth4);
        stage(local + 64u, row, col, k0, depth4);
        workgroupBarrier();
        for (var s = 0u; s < STEPS4; s++) {
            let a = s * SIDE + id.y * 4u;
            let b = s * SIDE + id.x * 4u;
            accumulate(&t, a_tile[a], a_tile[a + 1u], a_tile[a + 2u], a_tile[a + 3u],
                       b_tile[b], b_tile[b + 1u], b_tile[b + 2u], b_tile[b + 3u]);
        }
        workgroupBarrier();
    }
    store_tile(row + id.y * 4u, col + id.x * 4u, t);
}

fn stage(slot: u32, row: u32, col: u32, k0: u32, depth4: u32) {
    let k = min(k0 + slot / SIDE, depth4 - 1u);
    // Steps past the end are staged as 0 on both sides (0 times infinity is not 0), so that they add nothing.
    if k0 + slot / SIDE < depth4 {
        a_tile[slot] = a4(min(row + slot % SIDE, params.rows - 1u), k);
        b_tile[slot] = load_cols(min(col + slot % SIDE, params.cols - 1u), k);
    } else {
        a_tile[slot] = vec4<f32>();
        b_tile[slot] = B();
    }
}
