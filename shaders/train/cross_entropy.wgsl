// Softmax cross-entropy of a row: log(sum(exp(x))) - x[class], and its gradient softmax(x) - one_hot(class), times the
// loss's scale over the number of rows. One invocation a row. A class that there is none of, or a row whose
// largest logit is not finite, gives NaN.

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    rows: u32,
    classes: u32,
    /// Place of a row's class: row * stride + start.
    class_stride: u32,
    class_start: u32,
    /// 1 / all rows.
    share: f32,
    offsets: array<vec4<u32>, 2>,
}

/// log(1 + rest) for rest >= 0.
fn log_more(rest: f32) -> f32 {
    if rest <= 1.0 {
        return rest * log1p_ratio(rest);
    }
    let bits = bitcast<u32>(1.0 + rest);
    let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u) - 1.0;
    let exponent = f32(i32(bits >> 23u) - 127);
    return exponent * LN2_HIGH + (exponent * LN2_LOW + mantissa * log1p_ratio(mantissa));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local_id: vec3<u32>) {
    params = uniforms;
    let row = (group.y * groups.x + group.x) * 64u + local_id.x;
    if row >= params.rows {
        return;
    }
    let start = row * params.classes;
    var largest = load_logits(start);
    var top = 0u;
    var sound = !is_nan(largest);
    for (var k = 1u; k < params.classes; k++) {
        let x = load_logits(start + k);
        sound = sound && !is_nan(x);
        top = select(top, k, x > largest);
        largest = max(largest, x);
    }
    // Of infinities there is no softmax.
    sound = sound && (bitcast<u32>(largest) & 0x7f800000u) != 0x7f800000u;
    // Without the largest, which adds 1: a confident row's loss and gradient are made of the rest.
    var rest = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        rest += select(exponential(load_logits(start + k) - largest), 0.0, k == top);
    }
    let number = load_classes(row * params.class_stride + params.class_start);
    sound = sound && number >= 0.0 && number < f32(params.classes);
    let label = select(0u, u32(number), sound);
    let nan = bitcast<f32>(0x7fc00000u | params.fence);
    store_losses(row, select(nan, log_more(rest) + (largest - load_logits(start + label)), sound));
    let factor = select(nan, params.share * load_state(SCALE), sound);
    let inverse = 1.0 / (1.0 + rest);
    for (var k = 0u; k < params.classes; k++) {
        let own = select(exponential(load_logits(start + k) - largest), 1.0, k == top);
        // p - 1 of the largest is what the others have.
        let p = own * inverse - select(0.0, 1.0, k == label);
        store_dlogits(start + k, select(p, -rest * inverse, k == label && k == top) * factor);
    }
}
