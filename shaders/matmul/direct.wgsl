// Straight from storage to registers: no workgroup memory and no barrier, for adapters whose caches do
// the tiling.

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let steps = begin(id.z);
    let row = first_row(id.y * TILE_ROWS);
    let col = id.x * TILE_COLS;
    var t: Tile;
    for (var k = steps.x; k < steps.y; k++) {
        accumulate(&t, left(row, k), right(col, k));
    }
    store_tile(row, col, t);
}
