// One product: out = value(a b^T + bias).

alias Acc = f32;
alias B = vec4<f32>;

fn load_cols(col: u32, k: u32) -> B {
    return b4(col, k);
}

fn mul(a: vec4<f32>, b: B) -> Acc {
    return dot(a, b);
}

fn finish(col: u32, acc: Acc) -> f32 {
    return value(acc + bias_of(col), 1.0, col);
}
