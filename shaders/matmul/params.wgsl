// What every matrix kernel is told: out[row, col] = epilogue(sum over k of a[row, k] * b[col, k]).

struct Params {
    /// Always 0; see numerics.wgsl.
    fence: u32,
    /// Size of this dispatch: rows of the output, its columns, and what is summed over.
    rows: u32,
    cols: u32,
    depth: u32,
    /// From one row of an operand in memory to the next, in units of the operand.
    a_stride: u32,
    b_stride: u32,
    out_stride: u32,
    learned_channels: u32,
    /// Number of the first column among all of them.
    first_col: u32,
    /// The depth is summed in so many slices, each of so many steps (or all that is left).
    slices: u32,
    slice: u32,
    /// Of a mixture: the first expert of this dispatch.
    expert: u32,
    /// First unit of each operand.
    offsets: array<vec4<u32>, 2>,
    /// Parameters of the activation, each as (high, low).
    constants: array<vec4<f32>, 5>,
}

/// Rows of the slices of the depth before the one that this invocation sums; its own follow them.
var<private> slice_row: u32;

/// Columns past the end repeat the last one; they are not stored.
fn inside_cols(col: u32) -> u32 {
    return min(col, params.cols - 1u);
}

/// Four columns of one row.
fn store_four(row: u32, col: u32, c0: Acc, c1: Acc, c2: Acc, c3: Acc) {
    if row < params.rows && col < params.cols {
        store_cols(row + slice_row, col, with_residual(row + slice_row, col, finish(row, col, c0, c1, c2, c3)));
    }
}
