// Two products that share a: out = gate's value(a b^T + bias, a b_up^T + bias_up), so that gate and up never
// reach memory.

fn finish(row: u32, col: u32, c0: Acc, c1: Acc, c2: Acc, c3: Acc) -> vec4<f32> {
    return vec4<f32>(finish_col(c0, col), finish_col(c1, col + 1u), finish_col(c2, col + 2u), finish_col(c3, col + 3u));
}

fn finish_col(acc: Acc, col: u32) -> f32 {
    return value(acc.x + bias_of(col), acc.y + bias_up_of(col), col);
}
