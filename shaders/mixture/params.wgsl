// What every kernel around the experts' products is told. A slot is one choice of one token: token * top_k + choice.

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    tokens: u32,
    experts: u32,
    /// Experts of a token.
    top_k: u32,
    /// Units of a row of features.
    width: u32,
    /// Rows that an expert's share is rounded up to a multiple of.
    block: u32,
    /// Dispatches whose grids depend on the shares.
    dispatches: u32,
    /// Whether a token's weights are divided by their sum.
    normalise: u32,
    /// What they are multiplied by.
    scale: f32,
    offsets: array<vec4<u32>, 2>,
}

/// The number of a workgroup whose grid is read as one row.
fn workgroup_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    params = uniforms;
    return group.y * groups.x + group.x;
}

/// NaN that no compiler sees through.
fn nan() -> f32 {
    return bitcast<f32>(0x7fc00000u | params.fence);
}

/// m / (1 + e^-x).
fn logistic(x: f32, m: f32) -> f32 {
    return select(sigmoid_times(vec2<f32>(x, 0.0), 1.0, m), x, is_nan(x));
}
