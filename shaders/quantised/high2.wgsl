// Bits five and six, two by two in words of their own, to the places above four.

fn with_high(codes: vec4<u32>, high: u32) -> vec4<u32> {
    return codes | ((vec4<u32>(high) << vec4<u32>(4u, 6u, 8u, 10u)) & vec4<u32>(0x30u, 0x300u, 0x3000u, 0x30000u));
}

/// Of part j of eight, from bit 0 on.
fn high_of(high: vec2<u32>, j: u32) -> u32 {
    return high[j / 4u] >> (8u * (j & 3u));
}

/// The first or the second two words of a vector.
fn pair_of(words: vec4<u32>, k: u32) -> vec2<u32> {
    return select(words.xy, words.zw, vec2<bool>((k & 1u) == 1u));
}
