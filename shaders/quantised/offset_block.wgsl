// A block of 32 weights w = scale * code + offset.

fn add_step(a: Step, b: WeightStep, sum: f32) -> f32 {
    let first = add_part(a[3], b, 3u, add_part(a[2], b, 2u, add_part(a[1], b, 1u, add_part(a[0], b, 0u, sum))));
    return add_part(a[7], b, 7u, add_part(a[6], b, 6u, add_part(a[5], b, 5u, add_part(a[4], b, 4u, first))));
}

fn add_part(a: vec4<f32>, b: WeightStep, j: u32, sum: f32) -> f32 {
    let w = weights_of(numbers_of(low_of(b.low, b.more, j), high_of(b.high, j), 0.0), b.scale.xy);
    return fma(a.w, w.w, fma(a.z, w.z, fma(a.y, w.y, fma(a.x, w.x, sum))));
}
