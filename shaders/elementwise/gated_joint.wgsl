// The gradients of gate and of up over them, and f(gate) * up over dy

fn process(i: u32) {
    let kept = kept_lanes(i);
    let gate = load_gate(i);
    let up = load_up(i);
    let d = gated_grad_lanes(gate, up, masked(load_dy(i), kept), i);
    store_gate(i, d[0]);
    store_up(i, d[1]);
    store_dy(i, masked(value_lanes(gate, up, i), kept));
}
