// Gradient descent with weight decay (torch.optim.SGD).

fn process(i: u32) {
    if load_state(SKIP) != 0.0 {
        return;
    }
    let decay = params.constants[0].y;
    let w = load_weight(i);
    let g = load_gradient(i) * load_state(FACTOR) + decay * w;
    update_weight(i, w - load_state(RATE) * g);
}
