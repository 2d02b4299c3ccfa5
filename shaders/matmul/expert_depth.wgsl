// What rows, columns and depth are where each expert has a product of its own, over the rows that belong to it: slice
// number i is that of the dispatch's expert number i.

var<private> segment: vec2<u32>;

fn begin(slice: u32) -> vec2<u32> {
    params = uniforms;
    slice_row = slice * params.rows;
    let at = 2u * (uniforms.expert + slice);
    let own = vec2<u32>(segments_word(at), segments_word(at + 1u));
    segment = own;
    return vec2<u32>(0u, (own.y - own.x + STEP - 1u) / STEP);
}

fn first_row(row: u32) -> u32 {
    return row;
}

fn channel(col: u32) -> u32 {
    return params.first_col + inside_cols(col);
}

fn a_row(row: u32) -> u32 {
    return min(row, params.rows - 1u);
}

fn weight_row(col: u32) -> u32 {
    return inside_cols(col);
}

fn a_depth(k: u32) -> u32 {
    return segment.x + k;
}

/// Row of b: the token's, or the row's own.
fn b_depth(k: u32) -> u32 {
    return row_of(segment.x + k);
}

fn depth_end() -> u32 {
    return segment.y - segment.x;
}
