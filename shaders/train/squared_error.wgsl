// The gradient of the mean squared error: 2 (x - target) / n, times the loss's scale.

fn process(i: u32) {
    store_dx(i, (load_x(i) - load_target(i)) * (params.constants[0].x * load_state(SCALE)));
}
