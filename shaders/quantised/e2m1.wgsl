// Four numbers of four bits with two of exponent and one of mantissa: 0 0.5 1 1.5 2 3 4 6 and their negatives, doubled so
// that they are whole.

const PLACES = vec4<f32>(1.0);
const UNPLACES = vec4<f32>(1.0);

fn numbers_of(low: u32, high: u32, zero: f32) -> vec4<f32> {
    let codes = (vec4<u32>(low) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
    let sizes = (vec4<u32>(0xc8643210u) >> (4u * (codes & vec4<u32>(7u)))) & vec4<u32>(15u);
    return vec4<f32>(select(vec4<i32>(sizes), -vec4<i32>(sizes), codes >= vec4<u32>(8u)));
}
