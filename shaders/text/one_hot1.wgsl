fn one_hot_lanes(i: u32) -> Lanes {
    return one_hot(i);
}
