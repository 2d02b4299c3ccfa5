//! Gates beside the oracle: layouts, directions, kinds, widths.

use ffwd::accuracy::{self, Sample};
use ffwd::ops::{Gated, GatedBackward, GatedForward};
use ffwd::{Element, Gate, Gpu, Layout};

use super::super::gate::{Halves, all, allowed, gradient, value};
use super::super::{Guarded, inputs, judge, numbers, same_bits, subject};
use super::Case;

const JOINT: &[Layout] = &[Layout::Packed, Layout::Swapped, Layout::Interleaved];

/// Every gate in every layout. An odd width takes single elements, an even one vectors.
pub fn layouts() -> Vec<Case> {
    cases(&all(), &[Element::F32], &[(5, 33), (2, 64)], JOINT)
}

/// Every gate in every kind.
pub fn kinds() -> Vec<Case> {
    cases(&all(), &[Element::F16, Element::Bf16], &[(17, 64)], &[])
}

/// Widths at the edges of vectors, and none.
pub fn widths() -> Vec<Case> {
    let gates = ["swiglu", "swiglu_oai"].map(|name| Gate::parse(name).unwrap());
    let sizes: Vec<_> = [1, 2, 3, 4, 5, 8, 33, 64].into_iter().flat_map(|d| [1, 2, 5].map(|rows| (rows, d))).collect();
    [cases(&gates, &Element::ALL, &sizes, JOINT), cases(&gates[..1], &Element::ALL, &[(0, 4), (3, 0)], JOINT)].concat()
}

fn cases(gates: &[Gate], elements: &[Element], sizes: &[(usize, usize)], layouts: &'static [Layout]) -> Vec<Case> {
    let mut cases = Vec::new();
    for gate in gates {
        for &element in elements {
            cases.extend(sizes.iter().map(|&(rows, d)| Case::Gate { gate: gate.clone(), element, rows, d, layouts }));
        }
    }
    cases
}

pub async fn check(gpu: &Gpu, gate: &Gate, element: Element, [rows, d]: [usize; 2], layouts: &[Layout]) -> Result<(), String> {
    let len = rows * d;
    let fits = |x| if gate_domain(gate, x) { x } else { 1.5 };
    let mut up = numbers(element, len, 2);
    up.iter_mut().skip(3).step_by(19).for_each(|u| *u = f32::NAN);
    let gates = inputs(element, len, (rows + d) as u64).into_iter().map(fits).collect();
    let halves = Halves { element, rows, d, gate: gates, up };
    let dy = numbers(element, len, 3);
    let separate = run(gpu, gate, &halves, &dy, Layout::Separate).await?;
    let truths = |e: usize, g: f32| {
        let ((dgate, dup), dy) = (gradient(gate, g, halves.up[e]), f64::from(dy[e]));
        [value(gate, g, halves.up[e]), dgate * dy, dup * dy]
    };
    for (k, name) in ["y", "dgate", "dup"].into_iter().enumerate() {
        let allowed = allowed(gate, element, name == "dgate");
        let sample = |e: usize, g| Sample { actual: separate[k][e], truth: truths(e, g)[k], forgiven: 0.0 };
        let samples: Vec<_> = (0..len).map(|e| accuracy::judged(element, allowed, halves.gate[e], |g| sample(e, g))).collect();
        let input = |e| (halves.gate[e], halves.up[e], dy[e]);
        judge(element, allowed, &samples, input).map_err(|fault| format!("{name}: {fault}"))?;
    }
    for layout in layouts {
        let joint = run(gpu, gate, &halves, &dy, *layout).await.map_err(|fault| format!("{}: {fault}", layout.name()))?;
        for (k, name) in ["y", "dgate", "dup"].into_iter().enumerate() {
            same_bits(&joint[k], &separate[k]).map_err(|fault| format!("{} {name}: {fault}", layout.name()))?;
        }
    }
    Ok(())
}

/// y, dgate and dup of a call without bias, every output guarded.
async fn run(gpu: &Gpu, gate: &Gate, halves: &Halves, dy: &[f32], layout: Layout) -> Result<[Vec<f32>; 3], String> {
    let Halves { element, rows, d, .. } = *halves;
    let op = Gated::new(gpu, gate.clone());
    let held = halves.upload(gpu, layout, 0);
    let y = Guarded::output(gpu, &[rows, d], element, 0);
    op.forward(GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
    let grads = halves.outputs(gpu, layout, 0);
    let dy = gpu.tensor(dy, &[rows, d], element).unwrap();
    let args = GatedBackward { input: held.input(), dy: &dy, grads: grads.input(), bias: None, parameters: None };
    op.backward(args).unwrap().submit(gpu);
    let [dgate, dup] = grads.read_async(gpu).await?;
    Ok([y.check_async(gpu).await?, dgate, dup])
}

fn gate_domain(gate: &Gate, x: f32) -> bool {
    match gate {
        Gate::Of(activation) => subject::domain(activation, x),
        _ => true,
    }
}
