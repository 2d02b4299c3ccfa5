// What one product accumulates.

alias Acc = f32;
alias B = vec4<f32>;

fn load_col(col: u32, k: u32) -> B {
    return b4(inside_cols(col), k);
}

fn mul_add(a: vec4<f32>, b: B, acc: Acc) -> Acc {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, acc))));
}
