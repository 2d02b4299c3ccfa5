//! Gates on a device against the oracle: layouts, directions, kinds, widths.

mod support;

use ffwd::accuracy::{self, Sample};
use ffwd::ops::{Gated, GatedBackward, GatedForward};
use ffwd::{Element, Gate, Gpu, Layout};
use support::gate::{Halves, all, allowed, gradient, value};
use support::{Guarded, devices, inputs, judge, numbers, same_bits, subject};

/// y, dgate and dup of a call without bias, every output guarded.
fn run(gpu: &Gpu, gate: &Gate, halves: &Halves, dy: &[f32], layout: Layout) -> Result<[Vec<f32>; 3], String> {
    let Halves { element, rows, d, .. } = *halves;
    let op = Gated::new(gpu, gate.clone());
    let held = halves.upload(gpu, layout, 0);
    let y = Guarded::output(gpu, &[rows, d], element, 0);
    op.forward(GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
    let grads = halves.outputs(gpu, layout, 0);
    let dy = gpu.tensor(dy, &[rows, d], element).unwrap();
    let args = GatedBackward { input: held.input(), dy: &dy, grads: grads.input(), bias: None, parameters: None };
    op.backward(args).unwrap().submit(gpu);
    let [dgate, dup] = grads.read(gpu)?;
    Ok([y.check(gpu)?, dgate, dup])
}

fn check(gpu: &Gpu, gate: &Gate, element: Element, rows: usize, d: usize, layouts: &[Layout]) -> Result<(), String> {
    let len = rows * d;
    let fits = |x| if gate_domain(gate, x) { x } else { 1.5 };
    let mut up = numbers(element, len, 2);
    up.iter_mut().skip(3).step_by(19).for_each(|u| *u = f32::NAN);
    let gates = inputs(element, len, (rows + d) as u64).into_iter().map(fits).collect();
    let halves = Halves { element, rows, d, gate: gates, up };
    let dy = numbers(element, len, 3);
    let separate = run(gpu, gate, &halves, &dy, Layout::Separate)?;
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
        let joint = run(gpu, gate, &halves, &dy, *layout).map_err(|fault| format!("{}: {fault}", layout.name()))?;
        for (k, name) in ["y", "dgate", "dup"].into_iter().enumerate() {
            same_bits(&joint[k], &separate[k]).map_err(|fault| format!("{} {name}: {fault}", layout.name()))?;
        }
    }
    Ok(())
}

fn gate_domain(gate: &Gate, x: f32) -> bool {
    match gate {
        Gate::Of(activation) => subject::domain(activation, x),
        _ => true,
    }
}

fn check_all(gates: &[Gate], elements: &[Element], sizes: &[(usize, usize)], layouts: &[Layout]) {
    let mut faults = Vec::new();
    for device in devices() {
        for gate in gates {
            for element in elements {
                for (rows, d) in sizes {
                    if let Err(fault) = check(&device.gpu, gate, *element, *rows, *d, layouts) {
                        faults.push(format!("{gate} {element} {rows} x {d} on {}: {fault}", device.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

const JOINT: [Layout; 3] = [Layout::Packed, Layout::Swapped, Layout::Interleaved];

/// An odd width takes single elements, an even one vectors.
#[test]
fn every_gate_holds_its_contract_in_every_layout() {
    check_all(&all(), &[Element::F32], &[(5, 33), (2, 64)], &JOINT);
}

#[test]
fn every_gate_holds_its_contract_in_every_kind() {
    check_all(&all(), &[Element::F16, Element::Bf16], &[(17, 64)], &[]);
}

#[test]
fn every_width_is_done_whole() {
    let gates = ["swiglu", "swiglu_oai"].map(|name| Gate::parse(name).unwrap());
    let sizes: Vec<_> = [1, 2, 3, 4, 5, 8, 33, 64].into_iter().flat_map(|d| [1, 2, 5].map(|rows| (rows, d))).collect();
    check_all(&gates, &Element::ALL, &sizes, &JOINT);
    check_all(&gates[..1], &Element::ALL, &[(0, 4), (3, 0)], &JOINT);
}

/// Up enters as a factor: a power of two goes through to the bit.
#[test]
fn gates_are_linear_in_up() {
    let gpu = support::gpu();
    for gate in all().into_iter().filter(|gate| matches!(gate, Gate::Of(_))) {
        let (g, u) = (numbers(Element::F32, 1000, 4), numbers(Element::F32, 1000, 5));
        let y = ffwd::slices::gate(gpu, gate.clone(), &g, &u).unwrap();
        for factor in [0.125, -4.0] {
            let scaled: Vec<f32> = u.iter().map(|u| u * factor).collect();
            let want: Vec<f32> = y.iter().map(|y| y * factor).collect();
            let actual = ffwd::slices::gate(gpu, gate.clone(), &g, &scaled).unwrap();
            same_bits(&actual, &want).unwrap_or_else(|fault| panic!("{gate} times {factor}: {fault}"));
        }
    }
}

/// silu(-95) alone is below the smallest normal number; the product is not, and devices may flush what is.
#[test]
fn tails_survive_in_the_product() {
    for device in devices() {
        let swiglu = Gate::parse("swiglu").unwrap();
        let (g, u) = ([-95.0, -90.0, -100.0, -95.0], [100.0, 1e3, 1e6, -100.0]);
        let y = ffwd::slices::gate(&device.gpu, swiglu.clone(), &g, &u).unwrap();
        let samples: Vec<_> = (0..4).map(|i| Sample { actual: y[i], truth: value(&swiglu, g[i], u[i]), forgiven: 0.0 }).collect();
        assert!(samples.iter().all(|s| s.truth.abs() > f64::from(f32::MIN_POSITIVE)), "the case is no tail");
        judge(Element::F32, 4.0, &samples, |i| (g[i], u[i])).unwrap();
    }
}
