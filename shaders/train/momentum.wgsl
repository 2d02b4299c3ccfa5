// Gradient descent with momentum and weight decay (torch.optim.SGD, without dampening): v = momentum v + g, w -= rate v.

fn process(i: u32) {
    if load_state(SKIP) != 0.0 {
        return;
    }
    let momentum = params.constants[0].x;
    let decay = params.constants[0].y;
    let w = load_weight(i);
    let g = load_gradient(i) * load_state(FACTOR) + decay * w;
    let v = momentum * load_velocity(i) + g;
    store_velocity(i, v);
    update_weight(i, w - load_state(RATE) * v);
}
