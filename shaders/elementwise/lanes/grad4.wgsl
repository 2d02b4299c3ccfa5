fn grad_lanes(x: Lanes, m: Lanes, i: u32) -> Lanes {
    let e = 4u * i;
    return Lanes(grad(x.x, m.x, e), grad(x.y, m.y, e + 1u), grad(x.z, m.z, e + 2u), grad(x.w, m.w, e + 3u));
}
