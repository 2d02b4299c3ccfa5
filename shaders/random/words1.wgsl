// The random word of one element: of the four that belong to it and its neighbours.

alias Words = u32;

fn unit_words(i: u32, count: u32) -> Words {
    let four = philox(vec4<u32>(i / 4u, params.random[0].z, count, 0u), params.random[0].xy);
    let pair = select(four.xy, four.zw, (i & 2u) != 0u);
    return select(pair.x, pair.y, (i & 1u) != 0u);
}
