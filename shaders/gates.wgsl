// Gates that are more than activation(gate) * up.

/// gpt-oss: (clamp(up, -limit, limit) + 1) g sigmoid(alpha g) with g = min(gate, limit)
fn swiglu_oai_value(gate: f32, up: f32, alpha: vec2<f32>, limit: vec2<f32>) -> f32 {
    return swish_value(min(gate, limit.x), clamp(up, -limit.x, limit.x) + 1.0, alpha);
}
