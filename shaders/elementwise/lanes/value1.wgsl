fn value_lanes(x: Lanes, m: Lanes, i: u32) -> Lanes {
    return value(x, m, i);
}
