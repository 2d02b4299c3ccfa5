// y = f(gate) * up, or another gate's product

fn process(i: u32) {
    store_y(i, value_lanes(load_gate(i), load_up(i), i));
}
