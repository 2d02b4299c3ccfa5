// Both halves of a word by integer arithmetic: a GPU's own conversion may flush the subnormal ones.

fn half_pair(word: u32) -> vec2<f32> {
    return vec2<f32>(decode_f16(word & 0xffffu), decode_f16(word >> 16u));
}
