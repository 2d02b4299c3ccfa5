// The gradients of the gates in gates.wgsl.

/// Gradients for gate and up; 0 where a clamp holds, its edge included
fn swiglu_oai_grad(gate: f32, up: f32, dy: f32, alpha: vec2<f32>, limit: vec2<f32>) -> vec2<f32> {
    let dgate = swish_grad(gate, dy * (clamp(up, -limit.x, limit.x) + 1.0), alpha);
    let dup = swish_value(min(gate, limit.x), dy, alpha);
    return vec2<f32>(select(0.0, dgate, below(gate, limit)), select(0.0, dup, below(abs(up), limit)));
}
