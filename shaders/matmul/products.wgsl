// What two products that share a accumulate.

alias Acc = vec2<f32>;

struct Column {
    gate: WeightStep,
    up: WeightStep,
}

fn load_col(col: u32, k: u32) -> Column {
    return Column(b_step(weight_row(col), k), b_up_step(weight_row(col), k));
}

fn mul_add(a: Step, b: Column, acc: Acc) -> Acc {
    return vec2<f32>(add_step(a, b.gate, acc.x), add_step(a, b.up, acc.y));
}
