// No bits above the low ones.

fn with_high(codes: vec4<u32>, high: u32) -> vec4<u32> {
    return codes;
}

fn high_of(high: vec2<u32>, j: u32) -> u32 {
    return 0u;
}
