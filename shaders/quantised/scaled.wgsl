// w = scale * (code - zero point): a block's codes are summed before they are scaled.

const A_PLACES = UNPLACES;

fn weights_of(numbers: vec4<f32>, scale: vec2<f32>) -> vec4<f32> {
    return scale.x * (numbers * UNPLACES);
}

fn zero_of(scale: vec2<f32>) -> f32 {
    return scale.y;
}
