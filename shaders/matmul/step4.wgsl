// A step along the depth: one vector of each operand.

const STEP = 4u;
alias Step = vec4<f32>;
alias WeightStep = Step;

fn add_step(a: Step, b: Step, sum: f32) -> f32 {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
