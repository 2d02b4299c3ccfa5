fn gated_grad_lanes(g: Lanes, u: Lanes, dy: Lanes, i: u32) -> array<Lanes, 2> {
    let both = gated_grad(g, u, dy, i);
    return array<Lanes, 2>(both.x, both.y);
}
