// What one product accumulates.

alias Acc = f32;
alias Column = vec4<f32>;

fn load_col(col: u32, k: u32) -> Column {
    return b4(inside_cols(col), k);
}

fn mul_add(a: vec4<f32>, b: Column, acc: Acc) -> Acc {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, acc))));
}
