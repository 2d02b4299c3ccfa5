//! A user's own activation, a WGSL expression with its derivative, used like a built-in one: elementwise, as a gate,
//! and in the epilogue of a feed-forward layer.

use ffwd::nn::{FeedForward, Layer};
use ffwd::{Custom, Element, Error, Gate, Gpu, activate, activate_backward, slices};

fn main() -> Result<(), Error> {
    let gpu = Gpu::open(&Default::default())?;

    // Snake (Ziyin et al. 2020, arXiv:2006.08195): x + sin(a x)^2 / a.
    let value = "x + sin(a * x) * sin(a * x) / a";
    let snake = Custom::new("snake", value, "1.0 + sin(2.0 * a * x)", &[("a", 0.5)])?.into_activation();

    let x = [-2.0_f32, -0.5, 0.0, 0.5, 2.0];
    let y = activate(&gpu, snake.clone(), &x)?;
    let slope = activate_backward(&gpu, snake.clone(), &x, &[1.0; 5])?;
    let gated = slices::gate(&gpu, Gate::Of(snake.clone()), &x, &[2.0; 5])?;
    for i in 0..x.len() {
        println!("snake({:4}) = {:8.5}, derivative {:8.5}, as a gate with up = 2: {:8.5}", x[i], y[i], slope[i], gated[i]);
        let exact = x[i] + (0.5 * x[i]).sin().powi(2) / 0.5;
        assert!((y[i] - exact).abs() < 1e-5 && (gated[i] - 2.0 * exact).abs() < 2e-5);
        assert!((slope[i] - 1.0 - x[i].sin()).abs() < 1e-5);
    }

    // One token, two features, the identity for both weights: the layer is the activation itself.
    let identity = gpu.tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2], Element::F32)?;
    let layer = Layer::Dense { activation: snake, w1: identity.clone().into(), b1: None, w2: identity.into(), b2: None };
    let out = FeedForward::new(&gpu, layer).run(&gpu.tensor(&x[3..], &[1, 2], Element::F32)?)?;
    assert_eq!(gpu.read_back(&out)?, y[3..]);

    // What is wrong is said before anything reaches the GPU.
    if let Err(error) = Custom::new("oops", "x * undefined", "1.0", &[]) {
        println!("refused: {error}");
    }
    Ok(())
}
