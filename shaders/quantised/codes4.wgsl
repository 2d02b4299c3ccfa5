// Four numbers of four bits, from 16 bits of a word. They are not moved: each is a multiple of its place, and what they
// are multiplied by is divided by it. As the low bits of 2^23 they become floats without a conversion.

const PLACES = vec4<f32>(1.0, 16.0, 256.0, 4096.0);
const UNPLACES = vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);

fn places_of(low: u32) -> vec4<u32> {
    return vec4<u32>(low) & vec4<u32>(0xfu, 0xf0u, 0xf00u, 0xf000u);
}
