// dx = dy * f'(x)

fn process(i: u32) {
    store_dx(i, grad_lanes(load_x(i), masked(load_dy(i), kept_lanes(i)), i));
}
