// A step along the depth: two vectors of each operand.

const STEP = 8u;
alias Step = mat2x4<f32>;
alias WeightStep = Step;

fn add_step(a: Step, b: Step, sum: f32) -> f32 {
    let first = fma(a[0].w, b[0].w, fma(a[0].z, b[0].z, fma(a[0].y, b[0].y, fma(a[0].x, b[0].x, sum))));
    return fma(a[1].w, b[1].w, fma(a[1].z, b[1].z, fma(a[1].y, b[1].y, fma(a[1].x, b[1].x, first))));
}
