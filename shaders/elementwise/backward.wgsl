// dx = dy * f'(x)

fn process(i: u32) {
    store_dx(i, grad_lanes(load_x(i), load_dy(i), i));
}
