// No dropout.

fn kept_lanes(i: u32) -> Lanes {
    return Lanes(1.0);
}

fn masked(v: Lanes, kept: Lanes) -> Lanes {
    return v;
}
