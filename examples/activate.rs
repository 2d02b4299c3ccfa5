//! Values and derivatives of a few activations, computed on the GPU and checked against the scalar oracle.

use ffwd::{Activation, Error, Gpu, activate, activate_backward, oracle};

fn main() -> Result<(), Error> {
    let gpu = Gpu::open(&Default::default())?;
    println!("on {}", gpu.info().name);

    let x = [-6.0, -1.0, -0.1, 0.0, 0.1, 1.0, 6.0];
    let ones = [1.0; 7];
    // Names as PyTorch and Hugging Face spell them, parameters by name.
    for activation in [Activation::Relu, Activation::Gelu, Activation::parse("swish")?.with("beta", 1.5)?, Activation::parse("gelu_new")?] {
        let y = activate(&gpu, activation.clone(), &x)?;
        let derivative = activate_backward(&gpu, activation.clone(), &x, &ones)?;
        println!("\n{activation}: {}", activation.spec().map_or("", |spec| spec.formula));
        for i in 0..x.len() {
            println!("  f({:5}) = {:13.6e}   f' = {:13.6e}", x[i], y[i], derivative[i]);
            let exact = oracle::value(&activation, f64::from(x[i]));
            assert!((f64::from(y[i]) - exact).abs() <= 4.0 * f64::from(f32::EPSILON) * exact.abs());
        }
    }
    Ok(())
}
