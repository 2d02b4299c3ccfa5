//! Tensors beyond a binding and beyond a dispatch: everything is split, and to the bit the same.

mod support;

use std::sync::OnceLock;

use ffwd::accuracy::Sample;
use ffwd::nn::{FeedForwardArgs, FeedForwardBackward, Layer};
use ffwd::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward};
use ffwd::shader::matmul::Loop;
use ffwd::{Activation, Element, Error, FeedForward, Gate, Gpu, Layout, Tensor, wgpu};
use support::gate::Halves;
use support::{Guarded, adapter, devices, gpu, guest, judge, numbers, same_bits, sum_bound};

/// A device of the default adapter on which 4 KiB are a binding and 8 workgroups a side.
fn tiny() -> &'static Gpu {
    static TINY: OnceLock<Gpu> = OnceLock::new();
    TINY.get_or_init(|| small(4096, 8))
}

fn small(max_storage_buffer_binding_size: u64, max_compute_workgroups_per_dimension: u32) -> Gpu {
    let adapter = adapter();
    let limits = wgpu::Limits { max_storage_buffer_binding_size, max_compute_workgroups_per_dimension, ..adapter.limits() };
    guest(&adapter, limits, wgpu::Features::empty())
}

/// Whether `run` gives the same bits on both devices; it returns what it wrote, and whether it had to split.
#[track_caller]
fn assert_same(small: &Gpu, what: &str, run: impl Fn(&Gpu) -> (Vec<f32>, usize)) {
    let ((whole, few), (split, many)) = (run(gpu()), run(small));
    assert!(many > few, "{what}: nothing was split ({few} dispatches, {many})");
    same_bits(&split, &whole).unwrap_or_else(|fault| panic!("{what}: {fault}"));
}

fn activate(gpu: &Gpu, element: Element, len: usize, offset: usize, in_place: bool) -> (Vec<f32>, usize) {
    let hold = |seed| Guarded::holding(gpu, &numbers(element, len, seed), &[len], element, offset);
    let (x, dy, op) = (hold(1), hold(2), Activate::new(gpu, Activation::Silu));
    let (y, dx) = (Guarded::output(gpu, &[len], element, offset), Guarded::output(gpu, &[len], element, offset));
    let (y, dx) = if in_place { (&dy, &x) } else { (&y, &dx) };
    let backward = op.backward(Backward { x: &x.tensor, dy: &dy.tensor, dx: &dx.tensor, bias: None, parameters: None }).unwrap();
    backward.submit(gpu);
    let forward = op.forward(Forward { x: &x.tensor, y: &y.tensor, bias: None, parameters: None }).unwrap();
    forward.submit(gpu);
    ([y.read(gpu, "y"), dx.read(gpu, "dx")].concat(), forward.kernels().count() + backward.kernels().count())
}

#[test]
fn activations_are_split() {
    for element in Element::ALL {
        for offset in [0, 3] {
            for in_place in [false, true] {
                assert_same(tiny(), &format!("{element} at {offset}"), |gpu| activate(gpu, element, 10_007, offset, in_place));
            }
        }
    }
}

/// 24,000 single elements are 24 workgroups in one binding: three rows of eight.
#[test]
fn grids_have_two_sides() {
    let (small, full) = (small(1 << 20, 8), activate(gpu(), Element::F32, 24_000, 1, false));
    assert_eq!(full.1, 2);
    let split = activate(&small, Element::F32, 24_000, 1, false);
    assert_eq!(split.1, 2);
    same_bits(&split.0, &full.0).unwrap();
}

/// Workgroups of a dispatch are a limit that splitting respects too.
#[test]
fn dispatches_beyond_the_grid_are_split() {
    assert_same(&small(1 << 20, 8), "140,000 single elements in 64 workgroups", |gpu| activate(gpu, Element::F32, 140_000, 1, false));
}

fn gated(gpu: &Gpu, element: Element, layout: Layout, rows: usize, d: usize, in_place: bool) -> (Vec<f32>, usize) {
    let halves = Halves::numbers(element, rows, d, 1);
    let (held, grads, op) = (halves.upload(gpu, layout, 0), halves.outputs(gpu, layout, 0), Gated::new(gpu, Gate::OAI));
    let y = Guarded::output(gpu, &[rows, d], element, 0);
    let forward = op.forward(GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None }).unwrap();
    forward.submit(gpu);
    let grads = if in_place { &held } else { &grads };
    let dy = gpu.tensor(&numbers(element, rows * d, 5), &[rows, d], element).unwrap();
    let args = GatedBackward { input: held.input(), dy: &dy, grads: grads.input(), bias: None, parameters: None };
    let backward = op.backward(args).unwrap();
    backward.submit(gpu);
    let [dgate, dup] = grads.read(gpu).unwrap();
    ([y.read(gpu, "y"), dgate, dup].concat(), forward.kernels().count() + backward.kernels().count())
}

/// Many rows of a window.
#[test]
fn gates_are_split_in_every_layout() {
    for layout in Layout::ALL {
        for (element, rows, d) in [(Element::F32, 400, 24), (Element::F32, 90, 33), (Element::Bf16, 50, 200)] {
            for in_place in [false, true] {
                let what = format!("{element} {} {rows} x {d}, in place {in_place}", layout.name());
                assert_same(tiny(), &what, |gpu| gated(gpu, element, layout, rows, d, in_place));
            }
        }
    }
}

/// Rows of gate and up that no window holds: separate ones and the forward direction go on, gradients that are written
/// together are refused.
#[test]
fn rows_may_be_longer_than_a_binding() {
    for layout in Layout::ALL {
        for (element, rows, d) in [(Element::F32, 5, 500), (Element::F32, 2, 3000), (Element::F32, 2, 1501), (Element::F16, 3, 2501)] {
            let what = format!("{element} {} {rows} x {d}", layout.name());
            let halves = Halves::numbers(element, rows, d, 1);
            let forward = |gpu: &Gpu| {
                let (held, y) = (halves.upload(gpu, layout, 0), Guarded::output(gpu, &[rows, d], element, 0));
                let args = GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None };
                let plan = Gated::new(gpu, Gate::OAI).forward(args).unwrap();
                plan.submit(gpu);
                (y.read(gpu, "y"), plan.kernels().count())
            };
            assert_same(tiny(), &what, forward);
            if matches!(layout, Layout::Separate | Layout::Interleaved) {
                assert_same(tiny(), &what, |gpu| gated(gpu, element, layout, rows, d, true));
                continue;
            }
            let (held, dy) = (halves.upload(tiny(), layout, 0), tiny().tensor(&halves.up, &[rows, d], element).unwrap());
            let args = GatedBackward { input: held.input(), dy: &dy, grads: held.input(), bias: None, parameters: None };
            let refused = Gated::new(tiny(), Gate::OAI).backward(args);
            assert!(matches!(refused, Err(Error::Limit { required, allowed, .. }) if required > allowed), "{what}: {refused:?}");
        }
    }
}

fn feed_forward(gpu: &Gpu, gate: bool, [tokens, d_model, d_ff]: [usize; 3], looping: Loop) -> (Vec<f32>, usize) {
    let tensor =
        |rows: usize, cols: usize, seed| gpu.tensor(&numbers(Element::F32, rows * cols, seed), &[rows, cols], Element::F32).unwrap();
    let bias = |len: usize, seed| gpu.tensor(&numbers(Element::F32, len, seed), &[len], Element::F32).unwrap();
    let (first, last) = (tensor(d_ff, d_model, 1), tensor(d_model, d_ff, 2));
    let layer = if gate {
        let biases = Some((bias(d_ff, 4), bias(d_ff, 5)));
        Layer::Gated {
            gate: Gate::OAI,
            w_gate: first.into(),
            w_up: tensor(d_ff, d_model, 3).into(),
            biases,
            w_down: last.into(),
            b_down: None,
        }
    } else {
        Layer::Dense {
            activation: Activation::Relu,
            w1: first.into(),
            b1: Some(bias(d_ff, 4)),
            w2: last.into(),
            b2: Some(bias(d_model, 5)),
        }
    };
    let op = FeedForward::new(gpu, layer).with_loop(looping);
    let x = tensor(tokens, d_model, 6);
    let (hidden, y) = (op.hidden(&x).unwrap(), Guarded::output(gpu, &[tokens, d_model], Element::F32, 0));
    let plan = op.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y.tensor }).unwrap();
    plan.submit(gpu);
    (y.read(gpu, "y"), plan.kernels().count())
}

/// Weights of many windows; windows of three, two and one rows, where no vector of columns fits.
#[test]
fn layers_are_split() {
    for sizes in [[70, 36, 200], [5, 300, 8], [3, 400, 12], [2, 900, 4], [40, 33, 65]] {
        for gate in [false, true] {
            for looping in support::layer::two_loops(tiny()) {
                let what = format!("{sizes:?}, gated {gate}, {looping}");
                assert_same(tiny(), &what, |gpu| feed_forward(gpu, gate, sizes, looping));
            }
        }
    }
}

/// More rows and columns of tiles than a grid has.
#[test]
fn layers_beyond_the_grid_are_split() {
    assert_same(&small(1 << 20, 8), "tiles", |gpu| feed_forward(gpu, false, [300, 5, 270], Loop::Direct(4)));
}

/// Gradients of weights and biases over more tokens than a window holds: the depth of their product is then split. Whole
/// numbers, whose sums are exact in any order.
#[test]
fn gradients_of_many_tokens_are_split() {
    let [tokens, d_model, d_ff] = [300, 4, 8];
    let run = |gpu: &Gpu, element| {
        let whole = |len: usize, by: usize| (0..len).map(|i| (i * by % 5) as f32 - 2.0).collect::<Vec<_>>();
        let tensor = |shape: &[usize], by| gpu.tensor(&whole(shape.iter().product(), by), shape, Element::F32).unwrap();
        let (b1, b2) = (Some(tensor(&[d_ff], 3)), Some(tensor(&[d_model], 2)));
        let (w1, w2) = (tensor(&[d_ff, d_model], 7), tensor(&[d_model, d_ff], 9));
        let op = FeedForward::new(gpu, Layer::Dense { activation: Activation::Relu, w1: w1.into(), b1, w2: w2.into(), b2 });
        let (x, dy) = (tensor(&[tokens, d_model], 3), tensor(&[tokens, d_model], 11));
        let gradients = op.layer().map(|tensor| gpu.zeros(tensor.shape(), element)).unwrap();
        let plan = op.backward(FeedForwardBackward::new(&x, &dy, &gradients)).unwrap();
        plan.submit(gpu);
        (
            gradients.weights().into_iter().flat_map(|tensor| gpu.read_back(tensor.plain().unwrap()).unwrap()).collect(),
            plan.kernels().count(),
        )
    };
    for element in Element::ALL {
        assert_same(tiny(), &format!("gradients in {element}"), |gpu| run(gpu, element));
    }
}

/// Sums over tensors beyond a binding. Splitting changes the order of a sum, so the bits may differ and the bound not.
#[test]
fn gradients_are_summed_over_windows() {
    let (small, rows, d) = (small(1 << 16, 16), 6000, 8);
    let (x, dy) = (numbers(Element::F32, rows * d, 1), numbers(Element::F32, rows * d, 2));
    let tensor = |values: &[f32], shape: &[usize]| small.tensor(values, shape, Element::F32).unwrap();
    let (x_in, dy_in) = (tensor(&x, &[rows, d]), tensor(&dy, &[rows, d]));
    let (table, bias) = (tensor(&[0.25; 8], &[1, d]), tensor(&[0.0; 8], &[d]));
    let args = Backward { x: &x_in, dy: &dy_in, dx: &x_in, bias: Some(&bias), parameters: Some(&table) };
    let op = Activate::new(&small, Activation::parse("prelu").unwrap());
    let (dtable, dbias) = (Guarded::output(&small, &[1, d], Element::F32, 0), Guarded::output(&small, &[d], Element::F32, 0));
    let plan = op.parameter_gradient(args, &dtable.tensor).unwrap().then(op.bias_gradient(args, &dbias.tensor).unwrap());
    assert!(plan.kernels().count() > 4, "nothing was split");
    plan.submit(&small);
    let term: [fn(f64) -> f64; 2] = [|x| if x > 0.0 { 0.0 } else { x }, |x| if x > 0.0 { 1.0 } else { 0.25 }];
    for (out, term) in [&dtable, &dbias].into_iter().zip(term) {
        for (c, actual) in out.read(&small, "a gradient").into_iter().enumerate() {
            let terms = (0..rows).map(|row| term(f64::from(x[row * d + c])) * f64::from(dy[row * d + c]));
            let (truth, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            let sample = Sample { actual, truth, forgiven: sum_bound(rows, 8.0, size) };
            judge(Element::F32, 0.0, &[sample], |_| c).unwrap();
        }
    }
}

/// What cannot be split says so: one row of a product.
#[test]
fn a_row_beyond_a_binding_is_refused_with_both_numbers() {
    let gpu = tiny();
    let ones = |shape: &[usize]| gpu.tensor(&vec![1.5; shape.iter().product()], shape, Element::F32).unwrap();
    let layer = Layer::Dense { activation: Activation::Relu, w1: ones(&[2, 2000]).into(), b1: None, w2: ones(&[2000, 2]).into(), b2: None };
    let (op, x) = (FeedForward::new(gpu, layer), ones(&[1, 2000]));
    let refused = op.plan(FeedForwardArgs { x: &x, hidden: &op.hidden(&x).unwrap(), y: &ones(&[1, 2000]) });
    assert!(matches!(refused, Err(Error::Limit { required: 2000, allowed, .. }) if allowed < 2000), "{refused:?}");
}

/// A bias that no binding holds is refused, not left to the driver.
#[test]
fn a_bias_beyond_a_binding_is_refused_with_both_numbers() {
    let gpu = tiny();
    let ones = |shape: &[usize]| gpu.tensor(&vec![1.5; shape.iter().product()], shape, Element::F32).unwrap();
    let (x, bias) = (ones(&[2, 2000]), ones(&[2000]));
    let refused = Activate::new(gpu, Activation::Relu).forward(Forward { x: &x, y: &x, bias: Some(&bias), parameters: None });
    assert!(matches!(refused, Err(Error::Limit { required: 2000, .. })), "{refused:?}");
    let input = GateInput::Separate { gate: &x, up: &x };
    let args = GatedForward { input, y: &x, bias: Some((&bias, &bias)), parameters: None };
    let refused = Gated::new(gpu, Activation::Relu).forward(args);
    assert!(matches!(refused, Err(Error::Limit { required: 2000, .. })), "{refused:?}");
}

/// For real: single elements past 65,535 workgroups, in a tensor larger than WebGPU's default binding.
#[test]
fn seventy_million_elements() {
    let gpu = &devices()[1].gpu;
    let len = 70_000_001;
    // Normal bf16 numbers of either sign.
    let bits = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 16) as u16 & 0x9fff | 0x2000;
    let bytes: Vec<u8> = (0..len).flat_map(|i| bits(i).to_le_bytes()).collect();
    let whole = gpu.tensor_from_bytes(&bytes, &[len], Element::Bf16).unwrap();
    let view: Tensor = whole.view(1, &[len - 1]).unwrap();
    let plan = Activate::new(gpu, Activation::Relu).forward(Forward { x: &view, y: &view, bias: None, parameters: None }).unwrap();
    assert!(plan.kernels().count() > 1, "nothing was split");
    plan.submit(gpu);
    let relu = |i: usize| if i > 0 && bits(i) >> 15 == 1 { 0 } else { bits(i) };
    let out = gpu.read_bytes(&whole).unwrap();
    let wrong = out.chunks_exact(2).enumerate().find(|(i, b)| u16::from_le_bytes([b[0], b[1]]) != relu(*i));
    assert_eq!(wrong, None);
}
