// Four columns are stored as one vector.

fn all_cols() -> u32 {
    return 4u * params.out_stride;
}

fn store_cols(row: u32, col: u32, v: vec4<f32>) {
    store_out(row * params.out_stride + col / 4u, v);
}
