// Two products that share a: out = gate's value(a b^T + bias, a b_up^T + bias_up), so that gate and up never
// reach memory.

alias Acc = vec2<f32>;
alias B = mat2x4<f32>;

fn load_cols(col: u32, k: u32) -> B {
    return B(b4(col, k), b_up4(col, k));
}

fn mul(a: vec4<f32>, b: B) -> Acc {
    return a * b;
}

fn finish(col: u32, acc: Acc) -> f32 {
    return value(acc.x + bias_of(col), acc.y + bias_up_of(col), col);
}
