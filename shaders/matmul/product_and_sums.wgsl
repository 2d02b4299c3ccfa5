// What a product accumulates together with the sums of a's rows, which those of the first column take along.

alias Acc = vec2<f32>;
alias Column = WeightStep;

fn load_col(col: u32, k: u32) -> Column {
    return b_step(weight_row(col), k);
}

fn mul_add(a: Step, b: Column, acc: Acc) -> Acc {
    return vec2<f32>(add_step(a, b, acc.x), acc.y);
}

fn mul_add_first(a: Step, b: Column, acc: Acc) -> Acc {
    return vec2<f32>(add_step(a, b, acc.x), acc.y + ((a.x + a.y) + (a.z + a.w)));
}
