//! Activations on views: every misalignment, in place, and side by side in one buffer.

mod support;

use ffwd::ops::{Activate, Backward, Forward};
use ffwd::{Activation, Element, Gpu, Tensor};
use support::{GUARD, Guarded, devices, numbers, same_bits};

/// Odd, and long enough for vectors and a tail.
const LEN: usize = 37;

fn forward(gpu: &Gpu, x: &Tensor, y: &Tensor) {
    Activate::new(gpu, Activation::Silu).forward(Forward { x, y, bias: None, parameters: None }).unwrap().submit(gpu);
}

fn backward(gpu: &Gpu, x: &Tensor, dy: &Tensor, dx: &Tensor) {
    let args = Backward { x, dy, dx, bias: None, parameters: None };
    Activate::new(gpu, Activation::Silu).backward(args).unwrap().submit(gpu);
}

/// What tensors of their own give, whose truth tests/elementwise.rs checks.
fn expected(gpu: &Gpu, element: Element, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let tensor = |data| gpu.tensor(data, &[LEN], element).unwrap();
    let (x, dy, y, dx) = (tensor(x), tensor(dy), gpu.zeros(&[LEN], element).unwrap(), gpu.zeros(&[LEN], element).unwrap());
    forward(gpu, &x, &y);
    backward(gpu, &x, &dy, &dx);
    (gpu.read_back(&y).unwrap(), gpu.read_back(&dx).unwrap())
}

/// Runs `check` with device, kind, x, dy, and what y and dx must be.
fn everywhere(check: impl Fn(&Gpu, Element, &[f32], &[f32], &[f32], &[f32])) {
    for device in devices() {
        for element in Element::ALL {
            let (x, dy) = (numbers(element, LEN, 1), numbers(element, LEN, 2));
            let (y, dx) = expected(&device.gpu, element, &x, &dy);
            assert!(y.iter().chain(&dx).all(|v| v.is_finite() && *v != 0.0), "the expectation is no test");
            check(&device.gpu, element, &x, &dy, &y, &dx);
        }
    }
}

#[track_caller]
fn assert_bits(gpu: &Gpu, out: &Guarded, want: &[f32], what: &str) {
    same_bits(&out.read(gpu, what), want).unwrap_or_else(|fault| panic!("{what}: {fault}"));
}

#[test]
fn offsets_are_independent() {
    everywhere(|gpu, element, x, dy, y, dx| {
        for a in 0..10 {
            for b in 0..10 {
                // A third offset that meets every pair of the others somewhere.
                let c = (3 * a + 7 * b + 1) % 10;
                let what = format!("{element}, offsets {a} {b} {c}");
                let hold = |values, offset| Guarded::holding(gpu, values, &[LEN], element, offset);
                let (input, above) = (hold(x, a), hold(dy, c));
                let (value, slope) = (Guarded::output(gpu, &[LEN], element, b), Guarded::output(gpu, &[LEN], element, b));
                forward(gpu, &input.tensor, &value.tensor);
                backward(gpu, &input.tensor, &above.tensor, &slope.tensor);
                assert_bits(gpu, &value, y, &what);
                assert_bits(gpu, &slope, dx, &what);
                assert_bits(gpu, &input, x, &what);
                assert_bits(gpu, &above, dy, &what);
            }
        }
    });
}

#[test]
fn in_place_is_the_same() {
    everywhere(|gpu, element, x, dy, y, dx| {
        for offset in [0, 1, 4, 7] {
            let what = format!("{element} in place at {offset}");
            let hold = |values| Guarded::holding(gpu, values, &[LEN], element, offset);

            let both = hold(x);
            forward(gpu, &both.tensor, &both.tensor);
            assert_bits(gpu, &both, y, &what);

            let (input, above) = (hold(x), hold(dy));
            backward(gpu, &input.tensor, &above.tensor, &above.tensor);
            assert_bits(gpu, &above, dx, &what);
            assert_bits(gpu, &input, x, &what);

            let (input, above) = (hold(x), hold(dy));
            backward(gpu, &input.tensor, &above.tensor, &input.tensor);
            assert_bits(gpu, &input, dx, &what);
            assert_bits(gpu, &above, dy, &what);
        }
    });
}

#[test]
fn one_tensor_may_be_every_operand() {
    for device in devices() {
        let gpu = &device.gpu;
        for element in Element::ALL {
            let x = numbers(element, LEN, 3);
            let (_, want) = expected(gpu, element, &x, &x);
            for offset in [0, 3] {
                let (same, out) = (Guarded::holding(gpu, &x, &[LEN], element, offset), Guarded::output(gpu, &[LEN], element, 0));
                backward(gpu, &same.tensor, &same.tensor, &out.tensor);
                assert_bits(gpu, &out, &want, "x = dy");
                backward(gpu, &same.tensor, &same.tensor, &same.tensor);
                assert_bits(gpu, &same, &want, "x = dy = dx");
            }
        }
    }
}

/// Neighbours in one buffer, down to the halves of one word.
#[test]
fn operands_may_lie_side_by_side() {
    everywhere(|gpu, element, x, dy, y, dx| {
        for (start, gap) in [(0, 0), (1, 0), (4, 3), (0, 27), (2, 91)] {
            let what = format!("{element} at {start}, {gap} apart");
            let place = |i: usize| GUARD + start + i * (LEN + gap);
            let mut values = numbers(element, place(3) + GUARD, 5);
            values[place(0)..][..LEN].copy_from_slice(x);
            values[place(1)..][..LEN].copy_from_slice(dy);
            for (inputs, want) in [(1, y), (2, dx)] {
                let whole = gpu.tensor(&values, &[values.len()], element).unwrap();
                let view = |i| whole.view(place(i), &[LEN]).unwrap();
                if inputs == 1 {
                    forward(gpu, &view(0), &view(2));
                } else {
                    backward(gpu, &view(0), &view(1), &view(2));
                }
                let mut expected = values.clone();
                expected[place(2)..][..LEN].copy_from_slice(want);
                same_bits(&gpu.read_back(&whole).unwrap(), &expected).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            }
        }
    });
}

/// The tensor's last word may be the buffer's last.
#[test]
fn a_buffer_may_end_with_the_tensor() {
    everywhere(|gpu, element, x, _, y, _| {
        let usage = ffwd::wgpu::BufferUsages::STORAGE | ffwd::wgpu::BufferUsages::COPY_SRC | ffwd::wgpu::BufferUsages::COPY_DST;
        let size = (LEN as u64 * element.size()).next_multiple_of(4);
        let buffer = gpu.device().create_buffer(&ffwd::wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let out = Tensor::from_buffer(&buffer, 0, &[LEN], element).unwrap();
        forward(gpu, &gpu.tensor(x, &[LEN], element).unwrap(), &out);
        same_bits(&gpu.read_back(&out).unwrap(), y).unwrap();
    });
}
