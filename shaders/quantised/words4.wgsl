// Where four numbers of four bits lie: in a half of a word, and those of a block in one vector.

/// Part j of eight, of four vectors' halves of words.
fn low_of(words: vec4<u32>, more: vec4<u32>, j: u32) -> u32 {
    return words[j / 2u] >> (16u * (j & 1u));
}
