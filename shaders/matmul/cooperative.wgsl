// Cooperative matrices: the tiles of f16 operands that a subgroup multiplies as one, with f32 sums. The entry point
// is rendered, since sums must be variables of their own; here is what it calls. A workgroup computes 2 x 2 blocks of
// tiles, a subgroup one of them at a time, in as many passes as it takes.

const BLOCKS = 4u;
const SIDE_ROWS = 2u * BLOCK_ROWS * TILE;
const SIDE_COLS = 2u * BLOCK_COLS * TILE;
const LINES = SIDE_ROWS + PRODUCTS * SIDE_COLS;
/// From one staged row to the next: whole 16 bytes, and no power of two, so that rows start in different banks.
const STRIDE = 4u * STEPS + 8u;
const AREA = TILE * TILE;

/// Rows of a, then rows of b, then rows of b_up.
var<workgroup> staged: array<f16, LINES * STRIDE>;
/// One tile of each block on its way to the epilogue.
var<workgroup> sums: array<f32, PRODUCTS * BLOCKS * AREA>;

struct Place {
    /// The workgroup's first output.
    row: u32,
    col: u32,
    local: u32,
    /// The first block of this pass, how many there are, and this subgroup's.
    first: u32,
    count: u32,
    block: u32,
}

/// Steps past the end are staged as 0 on both sides.
fn stage(place: Place, k: u32, end: u32) {
    for (var slot = place.local; slot < LINES * STEPS; slot += INVOCATIONS) {
        let line = slot / STEPS;
        let step = slot % STEPS;
        var v = vec4<f16>();
        if k + step < end {
            v = half_line(place, line, k + step);
        }
        let i = line * STRIDE + 4u * step;
        staged[i] = v.x;
        staged[i + 1u] = v.y;
        staged[i + 2u] = v.z;
        staged[i + 3u] = v.w;
    }
}

/// Four columns at a time of the tiles that have been stored to `sums`.
fn finish_tiles(place: Place, tile_row: u32, tile_col: u32) {
    workgroupBarrier();
    for (var i = 4u * place.local; i < place.count * AREA; i += 4u * INVOCATIONS) {
        let block = place.first + i / AREA;
        let row = place.row + (block / 2u * BLOCK_ROWS + tile_row) * TILE + i % AREA / TILE;
        let col = place.col + (block % 2u * BLOCK_COLS + tile_col) * TILE + i % TILE;
        let at = place.first * AREA + i;
        store_four(row, col, sum_at(at), sum_at(at + 1u), sum_at(at + 2u), sum_at(at + 3u));
    }
    workgroupBarrier();
}
