// Columns are stored one by one, those that exist.

fn all_cols() -> u32 {
    return params.out_stride;
}

fn store_cols(row: u32, col: u32, v: vec4<f32>) {
    let i = row * params.out_stride + col;
    store_out(i, v.x);
    if col + 1u < params.cols {
        store_out(i + 1u, v.y);
    }
    if col + 2u < params.cols {
        store_out(i + 2u, v.z);
    }
    if col + 3u < params.cols {
        store_out(i + 3u, v.w);
    }
}
