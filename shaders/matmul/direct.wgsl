// Straight from storage to registers: no workgroup memory and no barrier, for adapters whose caches do
// the tiling (software adapters, some mobile GPUs).

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    params = uniforms;
    let col = id.x * 4u;
    let row = id.y * 4u;
    // Rows and columns past the end repeat the last one; they are not stored.
    let r0 = min(row, params.rows - 1u);
    let r1 = min(row + 1u, params.rows - 1u);
    let r2 = min(row + 2u, params.rows - 1u);
    let r3 = min(row + 3u, params.rows - 1u);
    let c0 = min(col, params.cols - 1u);
    let c1 = min(col + 1u, params.cols - 1u);
    let c2 = min(col + 2u, params.cols - 1u);
    let c3 = min(col + 3u, params.cols - 1u);
    var t: Tile;
    for (var k = 0u; 4u * k < params.depth; k++) {
        accumulate(&t, a4(r0, k), a4(r1, k), a4(r2, k), a4(r3, k), load_cols(c0, k), load_cols(c1, k), load_cols(c2, k), load_cols(c3, k));
    }
    store_tile(row, col, t);
}
