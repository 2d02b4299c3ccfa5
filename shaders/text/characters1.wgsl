fn character_lanes(i: u32) -> Lanes {
    return character(i);
}
