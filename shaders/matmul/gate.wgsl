// The epilogue of the gate's product where up lies in memory: out = gate's value(a b^T + bias, up).

fn finish(row: u32, col: u32, c0: Acc, c1: Acc, c2: Acc, c3: Acc) -> vec4<f32> {
    let up = up_of(row, col);
    return vec4<f32>(finish_col(c0, up.x, col), finish_col(c1, up.y, col + 1u),
                     finish_col(c2, up.z, col + 2u), finish_col(c3, up.w, col + 3u));
}

fn finish_col(acc: Acc, up: f32, col: u32) -> f32 {
    return value(acc + bias_of(col), up, col);
}
