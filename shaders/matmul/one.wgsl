// What rows, columns and depth are where there is one product.

/// Steps that this slice starts at and ends before.
fn begin(slice: u32) -> vec2<u32> {
    params = uniforms;
    slice_row = slice * params.rows;
    return min(vec2<u32>(slice, slice + 1u) * uniforms.slice, vec2<u32>((uniforms.depth + STEP - 1u) / STEP));
}

/// Row of the output from which a workgroup or an invocation computes.
fn first_row(row: u32) -> u32 {
    return row;
}

/// Channels of the epilogue are the columns.
fn channel(col: u32) -> u32 {
    return params.first_col + inside_cols(col);
}

/// Row of a for a row of the output. Past the end it repeats the last one; that is not stored.
fn a_row(row: u32) -> u32 {
    return min(row, params.rows - 1u);
}

/// Row of b for a column of the output.
fn weight_row(col: u32) -> u32 {
    return inside_cols(col);
}

/// Steps of the depth as places in memory, of operands that have it as their first dimension.
fn a_depth(k: u32) -> u32 {
    return k;
}

fn b_depth(k: u32) -> u32 {
    return k;
}

fn depth_end() -> u32 {
    return params.depth;
}
