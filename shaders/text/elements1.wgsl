// An element at a time.

fn process(i: u32) {
    store_y(i, element(i));
}
