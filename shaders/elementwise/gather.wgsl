// Rows whose columns are in another order: column c holds what column order[c] of the source does.

fn element(e: u32) -> f32 {
    let width = params.random[1].y;
    return load_source(e - e % width + order_word(e % width));
}
