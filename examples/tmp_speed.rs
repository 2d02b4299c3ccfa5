use ffwd::{ops::*, *};
fn main() {
    let backend = std::env::args().nth(1).and_then(|s| (s == "gl").then_some(wgpu::Backend::Gl));
    let gpu = Gpu::open(&gpu::Selection { backend, adapter: None }).unwrap();
    println!("{:?}", gpu.info().driver_info);
    let n = 1 << 24;
    let copy = bench::copy_bandwidth(&gpu, n).unwrap();
    println!("copy {:.2} GB/s {:?}", copy.bytes_per_second / 1e9, copy.clock);
    let mut r = accuracy::Random::new(7);
    let x: Vec<f32> = (0..n).map(|_| r.uniform(-6.0, 6.0)).collect();
    for element in Element::ALL {
        let (xt, yt) = (gpu.tensor(&x, &[n], element).unwrap(), gpu.zeros(&[n], element).unwrap());
        let dy = gpu.tensor(&x, &[n], element).unwrap();
        for a in Activation::all() {
            if element != Element::F32 && !["relu", "silu", "gelu"].contains(&a.name()) {
                continue;
            }
            let plan = Activate::new(&gpu, a.clone()).forward(Forward { x: &xt, y: &yt, bias: None, parameters: None }).unwrap();
            let (s, _) = gpu::time(&gpu, &plan, 5).unwrap();
            let bytes = 2.0 * element.size() as f64 * n as f64;
            let plan =
                Activate::new(&gpu, a.clone()).backward(Backward { x: &xt, dy: &dy, dx: &yt, bias: None, parameters: None }).unwrap();
            let (b, _) = gpu::time(&gpu, &plan, 5).unwrap();
            println!(
                "{element} {:14} {:7.2} ms {:6.2} GB/s {:.2}   backward {:7.2} ms {:.2}",
                a.name(),
                s[2] * 1e3,
                bytes / s[2] / 1e9,
                bytes / s[2] / copy.bytes_per_second,
                b[2] * 1e3,
                1.5 * bytes / b[2] / copy.bytes_per_second
            );
        }
    }
}
