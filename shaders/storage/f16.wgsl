// IEEE binary16, two elements a word, converted by integer arithmetic: the built-in conversions may
// truncate, flush subnormals, and leave overflow undefined. Stores round to nearest even; from 65520 on
// they are infinite.

alias f16x4 = vec2<u32>;

fn decode_f16(bits: u32) -> f32 {
    let size = bits & 0x7fffu;
    let normal = bitcast<f32>((size << 13u) + 0x38000000u);
    let subnormal = f32(size) * 5.9604644775390625e-8;
    let special = bitcast<f32>((size << 13u) | 0x7f800000u);
    let magnitude = select(select(normal, subnormal, size < 0x400u), special, size >= 0x7c00u);
    return bitcast<f32>(bitcast<u32>(magnitude) | ((bits & 0x8000u) << 16u));
}

fn encode_f16(v: f32) -> u32 {
    let bits = bitcast<u32>(v);
    let size = bits & 0x7fffffffu;
    let normal = (size - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u;
    // 0.5 has the unit 2^-24, that of subnormal halves: the sum rounds to it.
    let subnormal = bitcast<u32>(bitcast<f32>(size) + 0.5) - 0x3f000000u;
    let finite_bits = select(normal, subnormal, size < 0x38800000u);
    let special = select(0x7c00u, 0x7e00u, size > 0x7f800000u);
    return select(finite_bits, special, size >= 0x477ff000u) | ((bits >> 16u) & 0x8000u);
}

fn decode4_f16(words: f16x4) -> vec4<f32> {
    return vec4<f32>(decode_f16(words.x & 0xffffu), decode_f16(words.x >> 16u), decode_f16(words.y & 0xffffu), decode_f16(words.y >> 16u));
}

fn encode4_f16(v: vec4<f32>) -> f16x4 {
    return vec2<u32>(encode_f16(v.x) | (encode_f16(v.y) << 16u), encode_f16(v.z) | (encode_f16(v.w) << 16u));
}
