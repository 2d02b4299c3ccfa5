fn gated_grad_lanes(g: Lanes, u: Lanes, dy: Lanes, i: u32) -> array<f32, 2> {
    let both = gated_grad(g, u, dy, i);
    return array<f32, 2>(both.x, both.y);
}
