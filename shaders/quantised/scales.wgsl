// What scales a group of codes: (scale, zero point) or (scale, offset), from the words that hold them.

/// One half for each group, two groups a word.
fn half_scale(word: u32, group: u32) -> f32 {
    let both = half_pair(word);
    return select(both.x, both.y, (group & 1u) == 1u);
}

/// K-quants: scale and offset of six bits in bytes, two groups a word, times the block's; the offset is subtracted.
fn k_scale(block: u32, word: u32, group: u32) -> vec2<f32> {
    let bytes = word >> (16u * (group & 1u));
    return half_pair(block) * vec2<f32>(f32(bytes & 0xffu), -f32((bytes >> 8u) & 0xffu));
}

/// Signed scales of eight bits, four groups a word, times the block's.
fn signed_scale(block: u32, word: u32, group: u32) -> f32 {
    return half_pair(block).x * f32(bitcast<i32>(word << (24u - 8u * (group & 3u))) >> 24u);
}

/// Half of a power of two from its exponent, four groups a word.
fn power_scale(word: u32, group: u32) -> f32 {
    let e = (word >> (8u * (group & 3u))) & 0xffu;
    return bitcast<f32>(select((e - 1u) << 23u, 0x200000u << e, e < 2u));
}
