// w = scale * code + offset, one rounding as in the files' own arithmetic: the first product is exact.

const A_PLACES = vec4<f32>(1.0);

fn weights_of(numbers: vec4<f32>, scale: vec2<f32>) -> vec4<f32> {
    return fma(numbers, scale.x * UNPLACES, vec4<f32>(scale.y));
}

fn zero_of(scale: vec2<f32>) -> f32 {
    return 0.0;
}
