// What two products that share a accumulate.

alias Acc = vec2<f32>;
alias Column = mat2x4<f32>;

fn load_col(col: u32, k: u32) -> Column {
    return Column(b4(inside_cols(col), k), b_up4(inside_cols(col), k));
}

fn mul_add(a: vec4<f32>, b: Column, acc: Acc) -> Acc {
    return vec2<f32>(fma(a.w, b[0].w, fma(a.z, b[0].z, fma(a.y, b[0].y, fma(a.x, b[0].x, acc.x)))),
                     fma(a.w, b[1].w, fma(a.z, b[1].z, fma(a.y, b[1].y, fma(a.x, b[1].x, acc.y)))));
}
