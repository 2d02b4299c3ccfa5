//! A SwiGLU feed-forward layer with random weights: hidden = silu(x Wg^T) * (x Wu^T), y = hidden Wd^T, compared with the
//! scalar oracle. The width is 2/3 of 4 d_model, so that the three matrices hold as many numbers as a dense
//! layer's two.

use ffwd::accuracy::Random;
use ffwd::nn::{FeedForward, Layer};
use ffwd::{Element, Error, Gate, Gpu, oracle};

fn main() -> Result<(), Error> {
    let gpu = Gpu::open(&Default::default())?;
    let (tokens, d_model) = (16, 96);
    let d_ff = 4 * d_model * 2 / 3;

    let mut random = Random::new(42);
    let mut matrix = |rows: usize, cols: usize| -> Vec<f32> {
        let scale = 1.0 / (cols as f32).sqrt();
        (0..rows * cols).map(|_| random.uniform(-scale, scale)).collect()
    };
    let (x, w_gate, w_up, w_down) = (matrix(tokens, d_model), matrix(d_ff, d_model), matrix(d_ff, d_model), matrix(d_model, d_ff));

    let tensor = |data: &[f32], rows, cols| gpu.tensor(data, &[rows, cols], Element::F32);
    let gate = Gate::parse("swiglu")?;
    let layer = Layer::Gated {
        gate: gate.clone(),
        w_gate: tensor(&w_gate, d_ff, d_model)?.into(),
        w_up: tensor(&w_up, d_ff, d_model)?.into(),
        biases: None,
        w_down: tensor(&w_down, d_model, d_ff)?.into(),
        b_down: None,
    };
    let ffn = FeedForward::new(&gpu, layer);
    let y = gpu.read_back(&ffn.run(&tensor(&x, tokens, d_model)?)?)?;

    let weights =
        oracle::GatedWeights { d_model, d_ff, w_gate: &w_gate, b_gate: None, w_up: &w_up, b_up: None, w_down: &w_down, b_down: None };
    let truth = oracle::gated(&x, tokens, &weights, &gate);
    let share = y.iter().zip(&truth).map(|(y, t)| {
        let bound = (d_model + d_ff) as f64 * 2.0_f64.powi(-24) * t.terms;
        (f64::from(*y) - t.value).abs() / bound
    });
    let worst = share.fold(0.0, f64::max);
    println!("{tokens} tokens, d_model {d_model}, d_ff {d_ff}: largest error is {:.2}% of the bound on {}", 100.0 * worst, gpu.info().name);
    assert!(worst <= 1.0);
    Ok(())
}
