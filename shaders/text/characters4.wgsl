fn character_lanes(i: u32) -> Lanes {
    let e = 4u * i;
    return Lanes(character(e), character(e + 1u), character(e + 2u), character(e + 3u));
}
