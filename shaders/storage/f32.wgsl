// f32: one element a word.

alias f32x4 = vec4<u32>;

fn decode4_f32(words: f32x4) -> vec4<f32> {
    return bitcast<vec4<f32>>(words);
}

fn encode4_f32(v: vec4<f32>) -> f32x4 {
    return bitcast<vec4<u32>>(v);
}

fn decode_f32(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn encode_f32(v: f32) -> u32 {
    return bitcast<u32>(v);
}
