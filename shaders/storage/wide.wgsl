// Words of 64 bits, of which four hold eight f32 and two hold eight of the 16-bit kinds: an adapter that loads lane by
// lane has half as many loads to do.

fn halves(words: vec2<u64>) -> vec4<u32> {
    let low = vec2<u32>(words);
    let high = vec2<u32>(words >> vec2<u32>(32u));
    return vec4<u32>(low.x, high.x, low.y, high.y);
}

/// The built-in conversion, which a GPU may let flush subnormal halves; CPUs do not.
fn unpack4_f16(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
