// A fifth bit, one after another in words of their own, to the places above four.

fn with_high(codes: vec4<u32>, high: u32) -> vec4<u32> {
    return codes | ((vec4<u32>(high) << vec4<u32>(4u, 7u, 10u, 13u)) & vec4<u32>(0x10u, 0x100u, 0x1000u, 0x10000u));
}

/// Of part j of eight, from bit 0 on.
fn high_of(high: vec2<u32>, j: u32) -> u32 {
    return high.x >> (4u * j);
}
