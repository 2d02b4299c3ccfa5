// What one product accumulates.

alias Acc = f32;
alias Column = WeightStep;

fn load_col(col: u32, k: u32) -> Column {
    return b_step(weight_row(col), k);
}

fn mul_add(a: Step, b: Column, acc: Acc) -> Acc {
    return add_step(a, b, acc);
}
