// The random words of four elements.

alias Words = vec4<u32>;

fn unit_words(i: u32, count: u32) -> Words {
    return philox(vec4<u32>(i, params.random[0].z, count, 0u), params.random[0].xy);
}
