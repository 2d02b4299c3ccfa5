// AdamW (Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW has it): the decay is not part of the gradient.

fn process(i: u32) {
    if load_state(SKIP) != 0.0 {
        return;
    }
    // (beta1, 1 - beta1, beta2, 1 - beta2), (epsilon, decay, ..)
    let betas = params.constants[0];
    let epsilon = params.constants[1].x;
    let decay = params.constants[1].y;
    let rate = load_state(RATE);
    let w = load_weight(i);
    let g = load_gradient(i) * load_state(FACTOR);
    let m = betas.x * load_first(i) + betas.y * g;
    let v = betas.z * load_second(i) + betas.w * (g * g);
    store_first(i, m);
    store_second(i, v);
    let direction = (m / load_state(CORRECTION1)) / (sqrt(v / load_state(CORRECTION2)) + Lanes(epsilon));
    update_weight(i, w - rate * (direction + decay * w));
}
