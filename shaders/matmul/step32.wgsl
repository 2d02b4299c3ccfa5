// A step along the depth: eight vectors of a, and a block of quantised weights.

const STEP = 32u;
alias Step = array<vec4<f32>, 8>;

struct WeightStep {
    low: vec4<u32>,
    more: vec4<u32>,
    high: vec2<u32>,
    /// (scale, zero point or offset) of the first half and of the second.
    scale: vec4<f32>,
}
