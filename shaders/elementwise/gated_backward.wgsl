// dgate = dy * up * f'(gate) and dup = dy * f(gate), or another gate's

fn process(i: u32) {
    let d = gated_grad_lanes(load_gate(i), load_up(i), masked(load_dy(i), kept_lanes(i)), i);
    store_pair(i, d[0], d[1]);
}
