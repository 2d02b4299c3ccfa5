// The same numbers in another kind.

fn process(i: u32) {
    store_y(i, load_x(i));
}
