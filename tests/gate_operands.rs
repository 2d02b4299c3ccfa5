//! Gates in place, on views, with biases and with learned parameters.

mod support;

use ffwd::accuracy::Sample;
use ffwd::ops::{GateInput, Gated, GatedBackward, GatedForward};
use ffwd::{Activation, Element, Gate, Gpu, Layout, Tensor, oracle};
use support::gate::{Halves, Held, allowed};
use support::{Guarded, devices, judge, numbers, same_bits, subject, sum_bound};

fn swiglu() -> Gate {
    Gate::parse("swiglu").unwrap()
}

fn forward(gpu: &Gpu, input: GateInput<'_>, y: &Tensor) {
    Gated::new(gpu, swiglu()).forward(GatedForward { input, y, bias: None, parameters: None }).unwrap().submit(gpu);
}

fn backward(gpu: &Gpu, input: GateInput<'_>, dy: &Tensor, grads: GateInput<'_>) {
    let args = GatedBackward { input, dy, grads, bias: None, parameters: None };
    Gated::new(gpu, swiglu()).backward(args).unwrap().submit(gpu);
}

/// y, dgate, dup from tensors of their own, whose truth tests/gates.rs checks.
fn expected(gpu: &Gpu, halves: &Halves, dy: &[f32]) -> [Vec<f32>; 3] {
    let Halves { element, rows, d, .. } = *halves;
    let (held, grads) = (halves.upload(gpu, Layout::Separate, 0), halves.outputs(gpu, Layout::Separate, 0));
    let (y, dy) = (gpu.zeros(&[rows, d], element).unwrap(), gpu.tensor(dy, &[rows, d], element).unwrap());
    forward(gpu, held.input(), &y);
    backward(gpu, held.input(), &dy, grads.input());
    let [dgate, dup] = grads.read(gpu).unwrap();
    assert!(dgate.iter().chain(&dup).all(|v| v.is_finite() && *v != 0.0), "the expectation is no test");
    [gpu.read_back(&y).unwrap(), dgate, dup]
}

/// Runs `check` with device, operands, dy and what must come out; an odd width and one of whole vectors.
fn everywhere(check: impl Fn(&Gpu, &Halves, &[f32], &[Vec<f32>; 3])) {
    for device in devices() {
        for element in Element::ALL {
            for (rows, d) in [(3, 5), (3, 8)] {
                let (halves, dy) = (Halves::numbers(element, rows, d, 1), numbers(element, rows * d, 9));
                check(&device.gpu, &halves, &dy, &expected(&device.gpu, &halves, &dy));
            }
        }
    }
}

#[track_caller]
fn assert_held(gpu: &Gpu, held: &Held, want: [&[f32]; 2], what: &str) {
    let halves = held.read(gpu).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    for (half, want) in halves.iter().zip(want) {
        same_bits(half, want).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    }
}

#[test]
fn y_may_overwrite_either_half() {
    everywhere(|gpu, halves, _, [y, ..]| {
        for offset in [0, 1, 4] {
            let held = halves.upload(gpu, Layout::Separate, offset);
            let Held::Separate(gate, up) = &held else { unreachable!("the layout is separate") };
            forward(gpu, held.input(), &gate.tensor);
            assert_held(gpu, &held, [y, &halves.up], "y over gate");

            let held = halves.upload(gpu, Layout::Separate, offset);
            let Held::Separate(_, up_again) = &held else { unreachable!("the layout is separate") };
            forward(gpu, held.input(), &up_again.tensor);
            assert_held(gpu, &held, [&halves.gate, y], "y over up");
            assert_eq!(up.check(gpu), Ok(halves.up.clone()));
        }
    });
}

#[test]
fn gradients_may_overwrite_their_inputs() {
    everywhere(|gpu, halves, dy, [_, dgate, dup]| {
        let above = || Guarded::holding(gpu, dy, &[halves.rows, halves.d], halves.element, 0);
        for layout in Layout::ALL {
            for offset in [0, 3, 4] {
                let (held, dy) = (halves.upload(gpu, layout, offset), above());
                backward(gpu, held.input(), &dy.tensor, held.input());
                assert_held(gpu, &held, [dgate, dup], layout.name());
            }
        }
        // Crossed, and one of them over dy.
        let (held, dy) = (halves.upload(gpu, Layout::Separate, 0), above());
        let Held::Separate(gate, up) = &held else { unreachable!("the layout is separate") };
        backward(gpu, held.input(), &dy.tensor, GateInput::Separate { gate: &up.tensor, up: &gate.tensor });
        assert_held(gpu, &held, [dup, dgate], "crossed");
        let (held, dy) = (halves.upload(gpu, Layout::Separate, 0), above());
        let Held::Separate(gate, _) = &held else { unreachable!("the layout is separate") };
        backward(gpu, held.input(), &dy.tensor, GateInput::Separate { gate: &dy.tensor, up: &gate.tensor });
        assert_held(gpu, &held, [dup, &halves.up], "dup over gate");
        assert_eq!(dy.check(gpu).as_ref(), Ok(dgate), "dgate over dy");
    });
}

#[test]
fn views_may_start_anywhere() {
    everywhere(|gpu, halves, dy, [y, dgate, dup]| {
        let shape = [halves.rows, halves.d];
        for layout in Layout::ALL {
            for a in 0..10 {
                let (b, c) = ((3 * a + 1) % 10, (7 * a + 2) % 10);
                let what = format!("{} {} at {a} {b} {c}", halves.element, layout.name());
                let (held, grads) = (halves.upload(gpu, layout, a), halves.outputs(gpu, layout, b));
                let out = Guarded::output(gpu, &shape, halves.element, b);
                let above = Guarded::holding(gpu, dy, &shape, halves.element, c);
                forward(gpu, held.input(), &out.tensor);
                same_bits(&out.read(gpu, &what), y).unwrap_or_else(|fault| panic!("{what}: {fault}"));
                backward(gpu, held.input(), &above.tensor, grads.input());
                assert_held(gpu, &grads, [dgate, dup], &what);
                assert_held(gpu, &held, [&halves.gate, &halves.up], &what);
            }
        }
    });
}

/// Input and output of one buffer that share no element, in a joint layout too.
#[test]
fn operands_may_lie_side_by_side() {
    everywhere(|gpu, halves, dy, [y, dgate, dup]| {
        let Halves { element, rows, d, .. } = *halves;
        for layout in [Layout::Packed, Layout::Swapped, Layout::Interleaved] {
            let values = [halves.joined(layout), vec![1.5; 2 * rows * d], dy.to_vec(), vec![1.5; rows * d]].concat();
            let whole = gpu.tensor(&values, &[values.len()], element).unwrap();
            let view = |start, cols| whole.view(start * rows * d, &[rows, cols]).unwrap();
            let (x, dx, above, out) = (view(0, 2 * d), view(2, 2 * d), view(4, d), view(5, d));
            let joint = |x| GateInput::Joint { x, layout };
            forward(gpu, joint(&x), &out);
            backward(gpu, joint(&x), &above, joint(&dx));
            let grads = Halves { element, rows, d, gate: dgate.clone(), up: dup.clone() };
            let want = [halves.joined(layout), grads.joined(layout), dy.to_vec(), y.clone()].concat();
            same_bits(&gpu.read_back(&whole).unwrap(), &want).unwrap_or_else(|fault| panic!("{}: {fault}", layout.name()));
        }
    });
}

/// Biases of both halves and a beta for each channel, with every gradient.
fn check_bias_and_beta(gpu: &Gpu, halves: &Halves, layout: Layout) -> Result<(), String> {
    let Halves { element, rows, d, .. } = *halves;
    let gate = Gate::parse("swiglu_beta").unwrap();
    let betas: Vec<f32> = (0..d).map(|c| 0.5 + c as f32 / 8.0).collect();
    let (bias_gate, bias_up, dy) = (numbers(element, d, 5), numbers(element, d, 6), numbers(element, rows * d, 7));
    let tensor = |values: &[f32], shape: &[usize], element| gpu.tensor(values, shape, element).unwrap();
    let (above, table) = (tensor(&dy, &[rows, d], element), tensor(&betas, &[1, d], Element::F32));
    let biases = (tensor(&bias_gate, &[d], element), tensor(&bias_up, &[d], element));
    let (bias, parameters) = (Some((&biases.0, &biases.1)), Some(&table));

    let (held, grads, op) = (halves.upload(gpu, layout, 0), halves.outputs(gpu, layout, 0), Gated::new(gpu, gate));
    let y = Guarded::output(gpu, &[rows, d], element, 0);
    op.forward(GatedForward { input: held.input(), y: &y.tensor, bias, parameters }).unwrap().submit(gpu);
    let args = GatedBackward { input: held.input(), dy: &above, grads: grads.input(), bias, parameters };
    op.backward(args).unwrap().submit(gpu);
    let sums = [1, 2, 3].map(|offset| Guarded::output(gpu, &[d], Element::F32, offset));
    let dtable = sums[2].tensor.reshape(&[1, d]).unwrap();
    op.bias_gradient(args, (&sums[0].tensor, &sums[1].tensor)).unwrap().submit(gpu);
    op.parameter_gradient(args, &dtable).unwrap().submit(gpu);

    let [dgate, dup] = grads.read(gpu)?;
    let results = [y.check(gpu)?, dgate, dup];
    // For element e: y, dgate, dup, dbeta in f64, of f32 sums x + bias.
    let truth = |e: usize| {
        let (g, u) = (f64::from(halves.gate[e] + bias_gate[e % d]), f64::from(halves.up[e] + bias_up[e % d]));
        let (act, dy) = (Activation::Swish { beta: f64::from(betas[e % d]) }, f64::from(dy[e]));
        let (value, slope) = (oracle::value(&act, g), oracle::derivative(&act, g));
        let terms = oracle::derivative_terms(&act, g);
        let dbeta = dy * u * oracle::parameter_gradient(&act, g)[0];
        [(value * u, 0.0), (dy * u * slope, (dy * u).abs() * terms), (dy * value, (dy * value).abs()), (dbeta, dbeta.abs())]
    };
    for (k, name) in ["y", "dgate", "dup"].into_iter().enumerate() {
        let samples: Vec<_> = (0..rows * d).map(|e| Sample { actual: results[k][e], truth: truth(e)[k].0, forgiven: 0.0 }).collect();
        let allowed = allowed(&Gate::Of(Activation::Swish { beta: 1.0 }), element, k == 1);
        judge(element, allowed, &samples, |e| (halves.gate[e], halves.up[e])).map_err(|fault| format!("{name}: {fault}"))?;
    }
    for (sum, (k, name)) in sums.iter().zip([(1, "bias of gate"), (2, "bias of up"), (3, "beta")]) {
        let actual = sum.check(gpu)?;
        let samples: Vec<_> = (0..d)
            .map(|c| {
                let column = || (0..rows).map(|row| truth(row * d + c)[k]);
                let terms: f64 = column().map(|(_, terms)| terms).sum();
                Sample { actual: actual[c], truth: column().map(|(v, _)| v).sum(), forgiven: sum_bound(rows, 8.0, terms) }
            })
            .collect();
        judge(Element::F32, 0.0, &samples, |c| c).map_err(|fault| format!("d{name}: {fault}"))?;
    }
    Ok(())
}

#[test]
fn biases_and_betas_have_gradients_in_every_layout() {
    for device in devices() {
        for layout in Layout::ALL {
            for (element, rows, d) in [(Element::F32, 7, 5), (Element::F32, 70, 8), (Element::F16, 7, 5), (Element::Bf16, 2, 8)] {
                let checked = check_bias_and_beta(&device.gpu, &Halves::numbers(element, rows, d, 3), layout);
                checked.unwrap_or_else(|fault| panic!("{} {element} {rows} x {d} on {}: {fault}", layout.name(), device.name));
            }
        }
    }
}

/// A custom activation gates like any other, biases included.
#[test]
fn custom_gates_take_biases() {
    let (gpu, d) = (support::gpu(), 6);
    let (halves, bias) = (Halves::numbers(Element::F32, 4, d, 1), [numbers(Element::F32, d, 2), numbers(Element::F32, d, 3)]);
    let tensors = [0, 1].map(|i| gpu.tensor(&bias[i], &[d], Element::F32).unwrap());
    let (held, y) = (halves.upload(gpu, Layout::Interleaved, 0), Guarded::output(gpu, &[4, d], Element::F32, 0));
    let args = GatedForward { input: held.input(), y: &y.tensor, bias: Some((&tensors[0], &tensors[1])), parameters: None };
    Gated::new(gpu, subject::custom()).forward(args).unwrap().submit(gpu);
    let sample = |(e, actual): (usize, f32)| {
        let (g, u) = (halves.gate[e] + bias[0][e % d], halves.up[e] + bias[1][e % d]);
        Sample { actual, truth: subject::value(&subject::custom(), f64::from(g)) * f64::from(u), forgiven: 0.0 }
    };
    let samples: Vec<_> = y.read(gpu, "y").into_iter().enumerate().map(sample).collect();
    judge(Element::F32, 4.5, &samples, |e| e).unwrap();
}
