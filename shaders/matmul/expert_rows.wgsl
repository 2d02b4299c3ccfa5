// What rows, columns and depth are where rows of the output belong to experts: those of a workgroup to one, whose weights
// lie behind those of the experts before it.

var<private> expert: u32;

fn begin(slice: u32) -> vec2<u32> {
    params = uniforms;
    slice_row = 0u;
    return vec2<u32>(0u, (uniforms.depth + STEP - 1u) / STEP);
}

fn first_row(row: u32) -> u32 {
    let first = segments_word(2u * params.expert) + row;
    expert = members_word(2u * min(first, params.rows - 1u) + 1u);
    return first;
}

fn channel(col: u32) -> u32 {
    return expert * all_cols() + params.first_col + inside_cols(col);
}

/// Row of a: the token's, or the row's own.
fn a_row(row: u32) -> u32 {
    return row_of(min(row, params.rows - 1u));
}

/// Row of b: of those of all experts, where they lie one after the other.
fn weight_row(col: u32) -> u32 {
    return select(expert * all_cols(), 0u, TRANSPOSED) + inside_cols(col);
}

/// Where the depth is the first dimension, it is the depths that lie one after the other.
fn b_depth(k: u32) -> u32 {
    return expert * params.depth + k;
}

fn depth_end() -> u32 {
    return params.depth;
}
