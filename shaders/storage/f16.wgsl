// IEEE binary16, two elements a word, converted by integer arithmetic: the built-in conversions may
// truncate, flush subnormals, and leave overflow undefined. Stores round to nearest even; from 65520 on
// they are infinite.

alias f16x4 = vec2<u32>;

/// Of a half in the upper 16 bits; the lower ones are 0.
fn decode_upper_f16(bits: u32) -> f32 {
    let size = (bits & 0x7fff0000u) >> 3u;
    // The exponents differ by 112, that of infinities and NaNs by as much again.
    let normal = bitcast<f32>(size + select(0x38000000u, 0x70000000u, size >= 0x0f800000u));
    // 0.5 has the unit 2^-24, that of subnormal halves.
    let subnormal = bitcast<f32>((size >> 13u) + 0x3f000000u) - 0.5;
    return bitcast<f32>(bitcast<u32>(select(normal, subnormal, size < 0x00800000u)) | (bits & 0x80000000u));
}

fn decode_f16(bits: u32) -> f32 {
    return decode_upper_f16(bits << 16u);
}

fn encode_f16(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    let size = bits & 0x7fffffffu;
    // What is larger than 2^16 rounds as it does: to infinity.
    let most = min(size, 0x47800000u);
    let normal = (most - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u;
    // The sum rounds to the unit of 0.5.
    let subnormal = bitcast<u32>(bitcast<f32>(most) + 0.5) - 0x3f000000u;
    let rounded = select(normal, subnormal, size < 0x38800000u);
    return select(rounded, 0x7e00u, size > 0x7f800000u) | ((bits >> 16u) & 0x8000u);
}

fn decode4_f16(words: f16x4) -> vec4<f32> {
    return vec4<f32>(decode_upper_f16(words.x << 16u), decode_upper_f16(words.x & 0xffff0000u),
                     decode_upper_f16(words.y << 16u), decode_upper_f16(words.y & 0xffff0000u));
}

fn encode4_f16(v: vec4<f32>) -> f16x4 {
    return vec2<u32>(encode_f16(v.x) | (encode_f16(v.y) << 16u), encode_f16(v.z) | (encode_f16(v.w) << 16u));
}
