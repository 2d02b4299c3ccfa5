// y = f(x)

fn process(i: u32) {
    store_y(i, masked(value_lanes(load_x(i), Lanes(1.0), i), kept_lanes(i)));
}
