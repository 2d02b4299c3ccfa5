// y = f(gate) * up, or another gate's product

fn process(i: u32) {
    store_y(i, masked(value_lanes(load_gate(i), load_up(i), i), kept_lanes(i)));
}
