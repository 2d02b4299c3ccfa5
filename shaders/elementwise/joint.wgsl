// dy * f'(x) over x, and f(x) over dy

fn process(i: u32) {
    let kept = kept_lanes(i);
    let x = load_x(i);
    let dy = masked(load_dy(i), kept);
    store_x(i, grad_lanes(x, dy, i));
    store_dy(i, masked(value_lanes(x, Lanes(1.0), i), kept));
}
