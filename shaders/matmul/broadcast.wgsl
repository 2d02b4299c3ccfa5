// No workgroup memory: the lanes of a subgroup share their rows. Each of eight lanes loads a part of them, and
// the subgroup passes the parts round, so that a row is loaded once for all columns. Right for every subgroup of
// eight lanes or more, since every invocation of a workgroup has the same rows.

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let local = local_id.x;
    let steps = begin(group.z);
    let row = first_row(group.y * TILE_ROWS);
    let col = (group.x * 16u + local) * TILE_COLS;
    var t: Tile;
    // Steps at a time, of which the lanes hold different ones.
    let whole = steps.x + (steps.y - steps.x) / STEPS * STEPS;
    for (var k = steps.x; k < whole; k += STEPS) {
        advance(&t, lane & 7u, row, col, k);
    }
    advance_rest(&t, row, col, whole, steps.y);
    store_tile(row, col, t);
}
