// Codes are integers, less a zero point.

/// Each times its place, exactly.
fn numbers_of(low: u32, high: u32, zero: f32) -> vec4<f32> {
    let bits = with_high(places_of(low), high) | vec4<u32>(0x4b000000u);
    return bitcast<vec4<f32>>(bits) - (8388608.0 + zero * PLACES);
}
