// f32, two elements a word: an adapter that loads lane by lane loads half as many words.

alias f32_widex4 = vec2<u64>;

fn decode4_f32_wide(words: f32_widex4) -> vec4<f32> {
    let low = vec2<u32>(words);
    let high = vec2<u32>(words >> vec2<u32>(32u));
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}
