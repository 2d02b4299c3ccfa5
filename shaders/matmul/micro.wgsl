// The register tile of one invocation: four rows by four columns, every accumulator with a name (arrays
// that are indexed end up in memory).

struct Tile {
    c00: Acc, c01: Acc, c02: Acc, c03: Acc,
    c10: Acc, c11: Acc, c12: Acc, c13: Acc,
    c20: Acc, c21: Acc, c22: Acc, c23: Acc,
    c30: Acc, c31: Acc, c32: Acc, c33: Acc,
}

fn accumulate(t: ptr<function, Tile>, a0: vec4<f32>, a1: vec4<f32>, a2: vec4<f32>, a3: vec4<f32>, b0: B, b1: B, b2: B, b3: B) {
    (*t).c00 += mul(a0, b0);
    (*t).c01 += mul(a0, b1);
    (*t).c02 += mul(a0, b2);
    (*t).c03 += mul(a0, b3);
    (*t).c10 += mul(a1, b0);
    (*t).c11 += mul(a1, b1);
    (*t).c12 += mul(a1, b2);
    (*t).c13 += mul(a1, b3);
    (*t).c20 += mul(a2, b0);
    (*t).c21 += mul(a2, b1);
    (*t).c22 += mul(a2, b2);
    (*t).c23 += mul(a2, b3);
    (*t).c30 += mul(a3, b0);
    (*t).c31 += mul(a3, b1);
    (*t).c32 += mul(a3, b2);
    (*t).c33 += mul(a3, b3);
}

fn store_row(row: u32, col: u32, c0: Acc, c1: Acc, c2: Acc, c3: Acc) {
    if row < params.rows {
        store_cols(row, col, vec4<f32>(finish(col, c0), finish(col + 1u, c1), finish(col + 2u, c2), finish(col + 3u, c3)));
    }
}

fn store_tile(row: u32, col: u32, t: Tile) {
    if col >= params.cols {
        return;
    }
    store_row(row, col, t.c00, t.c01, t.c02, t.c03);
    store_row(row + 1u, col, t.c10, t.c11, t.c12, t.c13);
    store_row(row + 2u, col, t.c20, t.c21, t.c22, t.c23);
    store_row(row + 3u, col, t.c30, t.c31, t.c32, t.c33);
}
