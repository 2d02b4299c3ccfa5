fn drawn_lanes(words: Words) -> Lanes {
    return Lanes(drawn(words.x), drawn(words.y), drawn(words.z), drawn(words.w));
}
