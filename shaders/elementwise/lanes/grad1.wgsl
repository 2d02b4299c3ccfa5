fn grad_lanes(x: Lanes, m: Lanes, i: u32) -> Lanes {
    return grad(x, m, i);
}
