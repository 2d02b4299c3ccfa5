fn drawn_lanes(words: Words) -> Lanes {
    return drawn(words);
}
