// The upper half of an f32, two elements a word. Stores round to nearest even.

alias bf16x4 = vec2<u32>;

fn decode_bf16(bits: u32) -> f32 {
    return bitcast<f32>(bits << 16u);
}

fn encode_bf16(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
    return select(rounded, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}

fn decode4_bf16(words: bf16x4) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}

fn encode4_bf16(v: vec4<f32>) -> bf16x4 {
    return vec2<u32>(encode_bf16(v.x) | (encode_bf16(v.y) << 16u), encode_bf16(v.z) | (encode_bf16(v.w) << 16u));
}
