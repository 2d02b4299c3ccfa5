fn one_hot_lanes(i: u32) -> Lanes {
    let e = 4u * i;
    return Lanes(one_hot(e), one_hot(e + 1u), one_hot(e + 2u), one_hot(e + 3u));
}
