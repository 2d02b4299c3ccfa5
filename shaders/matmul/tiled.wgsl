// Staged in workgroup memory: a workgroup computes SIDE_ROWS x SIDE_COLS outputs, STEPS steps of four at a time.
// The next steps are fetched to registers while the present ones are multiplied; with two buffers one barrier a
// round is enough, since nobody can be two rounds ahead.

var<workgroup> a_tile: array<vec4<f32>, A_SLOTS * BUFFERS>;
var<workgroup> b_tile: array<Column, B_SLOTS * BUFFERS>;

@compute @workgroup_size(GROUP_COLS, GROUP_ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let steps = begin(group.z);
    let row = first_row(group.y * SIDE_ROWS);
    let col = group.x * SIDE_COLS;
    var t: Tile;
    var buffer = 0u;
    var next = fetch(local, row, col, steps.x, steps.y);
    for (var k = steps.x; k < steps.y; k += STEPS) {
        stage(local, buffer, next);
        workgroupBarrier();
        next = fetch(local, row, col, k + STEPS, steps.y);
        for (var s = 0u; s < STEPS; s++) {
            accumulate(&t, left(buffer, s, id.y), right(buffer, s, id.x));
        }
        if BUFFERS == 1u {
            workgroupBarrier();
        } else {
            buffer = 1u - buffer;
        }
    }
    store_tile(row + id.y, col + id.x * 4u, t);
}

/// Where a row and a column of step s are staged: rows that neighbours read lie side by side, and so do columns.
fn a_slot(buffer: u32, s: u32, row: u32) -> u32 {
    return buffer * A_SLOTS + s * (SIDE_ROWS + 1u) + row;
}

fn b_slot(buffer: u32, s: u32, col: u32) -> u32 {
    return buffer * B_SLOTS + s * (SIDE_COLS + 1u) + (col % 4u) * (SIDE_COLS / 4u) + col / 4u;
}

/// Steps past the end are staged as 0 on both sides (0 times infinity is not 0), so that they add nothing.
fn fetch_a(slot: u32, row: u32, k: u32, end: u32) -> vec4<f32> {
    let place = a_place(slot);
    if k + place.y < end {
        return a_step(a_row(row + place.x), k + place.y);
    }
    return vec4<f32>(0.0);
}

fn fetch_b(slot: u32, col: u32, k: u32, end: u32) -> Column {
    let place = b_place(slot);
    if k + place.y < end {
        return load_col(col + place.x, k + place.y);
    }
    return Column();
}

fn stage_a(slot: u32, buffer: u32, v: vec4<f32>) {
    let place = a_place(slot);
    a_tile[a_slot(buffer, place.y, place.x)] = v;
}

fn stage_b(slot: u32, buffer: u32, v: Column) {
    let place = b_place(slot);
    b_tile[b_slot(buffer, place.y, place.x)] = v;
}
