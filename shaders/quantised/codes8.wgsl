// Four numbers of eight bits, from a word; as codes4.

const PLACES = vec4<f32>(1.0, 256.0, 1.0, 256.0);
const UNPLACES = vec4<f32>(1.0, 0.00390625, 1.0, 0.00390625);

fn places_of(low: u32) -> vec4<u32> {
    return vec4<u32>(vec2<u32>(low), vec2<u32>(low >> 16u)) & vec4<u32>(0xffu, 0xff00u, 0xffu, 0xff00u);
}

/// Part j of eight: a word of two vectors.
fn low_of(words: vec4<u32>, more: vec4<u32>, j: u32) -> u32 {
    if j < 4u {
        return words[j];
    }
    return more[j - 4u];
}
