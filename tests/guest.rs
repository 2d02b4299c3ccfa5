//! As a guest: someone else's device, buffers, encoder and submission.

mod support;

use ffwd::nn::{FeedForwardArgs, Layer};
use ffwd::ops::{Activate, Backward, Forward};
use ffwd::{Activation, Element, FeedForward, Gpu, Tensor, wgpu};
use support::{adapter, guest, judge, numbers, subject};

/// A device with WebGPU's defaults that this crate did not make.
fn host() -> Gpu {
    let adapter = adapter();
    guest(&adapter, wgpu::Limits::default().or_worse_values_from(&adapter.limits()), wgpu::Features::empty())
}

/// A buffer of the caller's that holds `values` from element `offset` on, and 1.5 everywhere else.
fn buffer(gpu: &Gpu, values: &[f32], offset: usize, element: Element) -> wgpu::Buffer {
    let mut bytes = element.encode(&[vec![1.5; offset], values.to_vec(), vec![1.5; 3]].concat());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: Some("theirs"), size: bytes.len() as u64, usage, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&descriptor);
    gpu.queue().write_buffer(&buffer, 0, &bytes);
    buffer
}

fn contract(activation: &Activation, x: &[f32], y: &[f32]) {
    let samples: Vec<_> = x.iter().zip(y).map(|(x, y)| subject::judged_value(activation, Element::F32, *x, *y)).collect();
    judge(Element::F32, subject::allowed(activation, Element::F32, false), &samples, |i| x[i]).unwrap();
}

#[test]
fn two_plans_share_an_encoder_and_a_submission() {
    let (gpu, len) = (host(), 301);
    let x = numbers(Element::F32, len, 1);
    let theirs =
        [buffer(&gpu, &x, 3, Element::F32), buffer(&gpu, &[0.0; 301], 5, Element::F32), buffer(&gpu, &[0.0; 301], 0, Element::F32)];
    let tensor = |i: usize, offset| Tensor::from_buffer(&theirs[i], offset, &[len], Element::F32).unwrap();
    let (x_in, y, z) = (tensor(0, 3), tensor(1, 5), tensor(2, 0));
    let plan =
        |activation: Activation, x, y| Activate::new(&gpu, activation).forward(Forward { x, y, bias: None, parameters: None }).unwrap();
    // The second reads what the first wrote, with the caller's own copy between them.
    let (first, second) = (plan(Activation::Gelu, &x_in, &y), plan(Activation::Tanh, &y, &z));
    let kept = buffer(&gpu, &[0.0; 301], 0, Element::F32);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    first.record(&mut encoder);
    encoder.copy_buffer_to_buffer(&theirs[1], 5 * 4, &kept, 0, 4 * len as u64);
    second.record(&mut encoder);
    gpu.queue().submit([encoder.finish()]);

    let (y_out, z_out) = (gpu.read_back(&y).unwrap(), gpu.read_back(&z).unwrap());
    contract(&Activation::Gelu, &x, &y_out);
    contract(&Activation::Tanh, &y_out, &z_out);
    assert_eq!(gpu.read_back(&Tensor::from_buffer(&kept, 0, &[len], Element::F32).unwrap()).unwrap(), y_out);
    // Around the views nothing changed.
    let around = gpu.read_back(&Tensor::from_buffer(&theirs[1], 0, &[len + 8], Element::F32).unwrap()).unwrap();
    assert!(around[..5].iter().chain(&around[5 + len..]).all(|v| *v == 1.5), "{around:?}");
}

#[test]
fn recording_does_nothing_by_itself_and_a_plan_may_be_recorded_twice() {
    let (gpu, len) = (host(), 37);
    let x = numbers(Element::F16, len, 2);
    let theirs = buffer(&gpu, &x, 1, Element::F16);
    let tensor = Tensor::from_buffer(&theirs, 1, &[len], Element::F16).unwrap();
    // In place, so that each run counts: dx = dy f'(x) of leaky ReLU on the negative side halves dy.
    let x_in = gpu.tensor(&[-1.0; 37], &[len], Element::F16).unwrap();
    let halve = Activate::new(&gpu, Activation::LeakyRelu { negative_slope: 0.5 });
    let plan = halve.backward(Backward { x: &x_in, dy: &tensor, dx: &tensor, bias: None, parameters: None }).unwrap();
    let quarters: Vec<f32> = x.iter().map(|x| x / 4.0).collect();

    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.record(&mut encoder);
    plan.record(&mut encoder);
    let commands = encoder.finish();
    gpu.wait().unwrap();
    assert_eq!(gpu.read_back(&tensor).unwrap(), x, "recording alone ran something");
    gpu.queue().submit([commands]);
    assert_eq!(gpu.read_back(&tensor).unwrap(), quarters);
    plan.submit(&gpu);
    assert_eq!(gpu.read_back(&tensor).unwrap(), quarters.iter().map(|x| x / 2.0).collect::<Vec<_>>());
}

#[test]
fn plans_fit_into_a_pass_of_the_caller() {
    let gpu = host();
    let identity: Vec<f32> = (0..36).map(|i| if i / 6 == i % 6 { 1.0 } else { 0.0 }).collect();
    let weight = || gpu.tensor(&identity, &[6, 6], Element::F32).unwrap();
    let layer = Layer::Dense { activation: Activation::Relu, w1: weight().into(), b1: None, w2: weight().into(), b2: None };
    let (op, values) = (FeedForward::new(&gpu, layer), numbers(Element::F32, 12, 3));
    let x = gpu.tensor(&values, &[2, 6], Element::F32).unwrap();
    let (hidden, y) = (op.hidden(&x).unwrap(), gpu.zeros(&[2, 6], Element::F32).unwrap());
    let plan = op.plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y }).unwrap();
    assert_eq!(plan.kernels().count(), 2, "{:?}", plan.kernels().collect::<Vec<_>>());
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.record_in(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(gpu.read_back(&y).unwrap(), values.iter().map(|x| x.max(0.0)).collect::<Vec<_>>());
}

/// On GL they share one context.
#[test]
fn devices_in_several_threads_keep_out_of_each_others_way() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..4 {
                    assert_eq!(ffwd::activate(&host(), Activation::Relu, &[-1.0, 2.0]).unwrap(), [0.0, 2.0]);
                }
            });
        }
    });
}
