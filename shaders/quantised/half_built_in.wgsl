// Both halves of a word by the built-in conversion, which is exact on CPUs.

fn half_pair(word: u32) -> vec2<f32> {
    return unpack2x16float(word);
}
