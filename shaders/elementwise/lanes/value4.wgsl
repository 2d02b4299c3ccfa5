fn value_lanes(x: Lanes, m: Lanes, i: u32) -> Lanes {
    let e = 4u * i;
    return Lanes(value(x.x, m.x, e), value(x.y, m.y, e + 1u), value(x.z, m.z, e + 2u), value(x.w, m.w, e + 3u));
}
