// For a few rows: the invocations of a workgroup share the depth of the same outputs, so that neighbours read
// neighbouring vectors of the weights, and their sums are added at the end.

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let steps = begin(group.z);
    let row = first_row(group.y * TILE_ROWS);
    let col = group.x * TILE_COLS;
    var t: Tile;
    for (var k = steps.x + local; k < steps.y; k += WIDTH) {
        accumulate(&t, left(row, k), right(col, k));
    }
    total(&t, local);
    if local == 0u {
        store_tile(row, col, t);
    }
}
