// The epilogue of a product and of the sums of a's rows.

fn finish(row: u32, col: u32, c0: Acc, c1: Acc, c2: Acc, c3: Acc) -> vec4<f32> {
    if params.first_col + col == 0u {
        finish_sum(row + slice_row, c0.y);
    }
    return vec4<f32>(finish_col(c0, col), finish_col(c1, col + 1u), finish_col(c2, col + 2u), finish_col(c3, col + 3u));
}

fn finish_col(acc: Acc, col: u32) -> f32 {
    return value(acc.x + bias_of(col), 1.0, col);
}
