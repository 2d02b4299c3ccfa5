/// The gradients for gate and for up.
fn gated_grad_lanes(g: Lanes, u: Lanes, dy: Lanes, i: u32) -> array<Lanes, 2> {
    let e = 4u * i;
    let a = gated_grad(g.x, u.x, dy.x, e);
    let b = gated_grad(g.y, u.y, dy.y, e + 1u);
    let c = gated_grad(g.z, u.z, dy.z, e + 2u);
    let d = gated_grad(g.w, u.w, dy.w, e + 3u);
    return array<Lanes, 2>(Lanes(a.x, b.x, c.x, d.x), Lanes(a.y, b.y, c.y, d.y));
}
