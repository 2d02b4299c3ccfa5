// A block of 32 weights w = scale * (code - zero point); the first and the second half may have scales of their own.

fn add_step(a: Step, b: WeightStep, sum: f32) -> f32 {
    let first = add_part(a[3], b, 3u, add_part(a[2], b, 2u, add_part(a[1], b, 1u, add_part(a[0], b, 0u, 0.0))));
    let half = fma(b.scale.x, first, sum);
    let second = add_part(a[7], b, 7u, add_part(a[6], b, 6u, add_part(a[5], b, 5u, add_part(a[4], b, 4u, 0.0))));
    return fma(b.scale.z, second, half);
}

fn add_part(a: vec4<f32>, b: WeightStep, j: u32, sum: f32) -> f32 {
    let w = numbers_of(low_of(b.low, b.more, j), high_of(b.high, j), b.scale[j / 4u * 2u + 1u]);
    return fma(a.w, w.w, fma(a.z, w.z, fma(a.y, w.y, fma(a.x, w.x, sum))));
}
