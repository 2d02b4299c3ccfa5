// What every matrix kernel is told: out[row, col] = epilogue(sum over k of a[row, k] * b[col, k]).

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    /// Size of this dispatch: rows of a, rows of b, and what is summed over.
    rows: u32,
    cols: u32,
    depth: u32,
    /// From one row to the next, in units of the operand.
    a_stride: u32,
    b_stride: u32,
    out_stride: u32,
    learned_channels: u32,
    /// Number of the first column among all of them.
    first_col: u32,
    /// First unit of each operand.
    offsets: array<vec4<u32>, 2>,
    /// Parameters of the activation, each as (high, low).
    constants: array<vec4<f32>, 5>,
}

/// Channels of the epilogue are the columns.
fn channel(col: u32) -> u32 {
    return params.first_col + min(col, params.cols - 1u);
}
