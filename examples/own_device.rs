//! A guest on your device: you make the `wgpu::Device`, the buffers and the encoder, and you submit. The crate records.

use ffwd::ops::{Activate, Forward, GateInput, Gated, GatedForward};
use ffwd::wgpu::{self, util::DeviceExt};
use ffwd::{Activation, Element, Gate, Gpu, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Yours: any adapter, WebGPU's default limits, no optional feature.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let numbers: Vec<f32> = (0..1000).map(|i| i as f32 / 100.0 - 5.0).collect();
    let contents = bytemuck::cast_slice(&numbers);
    let input = device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some("mine"), contents, usage });
    let output = device.create_buffer(&wgpu::BufferDescriptor { label: Some("mine too"), size: 4000, usage, mapped_at_creation: false });

    // Ours: views of your buffers, from any element on, and plans that bind them.
    let gpu = Gpu::from_parts(device.clone(), queue.clone());
    let gate = Tensor::from_buffer(&input, 0, &[500], Element::F32)?;
    let up = Tensor::from_buffer(&input, 500, &[500], Element::F32)?;
    let y = Tensor::from_buffer(&output, 3, &[500], Element::F32)?;
    let input = GateInput::Separate { gate: &gate, up: &up };
    let swiglu = Gated::new(&gpu, Gate::parse("swiglu")?).forward(GatedForward { input, y: &y, bias: None, parameters: None })?;
    let in_place = Activate::new(&gpu, Activation::Tanh).forward(Forward { x: &y, y: &y, bias: None, parameters: None })?;

    // Yours again: recording allocates nothing, submits nothing and waits for nothing.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    swiglu.record(&mut encoder);
    in_place.record(&mut encoder);
    queue.submit([encoder.finish()]);

    let result = gpu.read_back(&y)?;
    for (i, actual) in result.iter().enumerate() {
        let (g, u) = (f64::from(numbers[i]), f64::from(numbers[500 + i]));
        let exact = (g / (1.0 + (-g).exp()) * u).tanh();
        assert!((f64::from(*actual) - exact).abs() < 1e-6, "{i}: {actual} {exact}");
    }
    println!("tanh(silu(gate) * up) of 500 elements, recorded into someone else's encoder: right");
    Ok(())
}
