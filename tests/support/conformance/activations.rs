//! Activations beside the oracle: values, derivatives, kinds, sizes.

use ffwd::ops::{Activate, Backward, Forward};
use ffwd::{Activation, Element, Gpu};

use super::super::{Guarded, inputs, judge, numbers, subject};
use super::Case;

/// Every activation in every kind. The sizes take single elements, vectors, and both.
pub fn every() -> Vec<Case> {
    cases(&subject::activations(), &[3, 4, 4097])
}

/// Sizes at the edges of vectors, workgroups and what an invocation does.
pub fn sizes() -> Vec<Case> {
    let some = ["relu", "gelu", "tanh", "xielu"].map(|name| Activation::parse(name).unwrap());
    cases(&some, &[0, 1, 2, 5, 7, 8, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 100_003])
}

fn cases(activations: &[Activation], sizes: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for activation in activations {
        for element in Element::ALL {
            for &len in sizes {
                cases.extend([false, true].map(|backward| Case::Activation { activation: activation.clone(), backward, element, len }));
            }
        }
    }
    cases
}

pub async fn check(gpu: &Gpu, activation: &Activation, backward: bool, element: Element, len: usize) -> Result<(), String> {
    let (x, dy) = operands(activation, element, len);
    let tensor = |data| gpu.tensor(data, &[len], element).unwrap();
    let (input, out) = (tensor(&x), Guarded::output(gpu, &[len], element, 0));
    let op = Activate::new(gpu, activation.clone());
    if backward {
        let args = Backward { x: &input, dy: &tensor(&dy), dx: &out.tensor, bias: None, parameters: None };
        op.backward(args).unwrap().submit(gpu);
        let actual = out.check_async(gpu).await?;
        let samples: Vec<_> = (0..len).map(|i| subject::judged_derivative(activation, element, x[i], dy[i], actual[i])).collect();
        return judge(element, subject::allowed(activation, element, true), &samples, |i| (x[i], dy[i]));
    }
    op.forward(Forward { x: &input, y: &out.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
    let actual = out.check_async(gpu).await?;
    let samples: Vec<_> = x.iter().zip(&actual).map(|(x, y)| subject::judged_value(activation, element, *x, *y)).collect();
    if let Some(i) = (0..len).find(|&i| wrong_sign(activation, x[i], samples[i].truth, actual[i])) {
        return Err(format!("at {:?} it is {:?}, not {:?}", x[i], actual[i], samples[i].truth));
    }
    judge(element, subject::allowed(activation, element, false), &samples, |i| x[i])
}

/// Inputs on which the activation is judged, and gradients from above with NaN among them.
fn operands(activation: &Activation, element: Element, len: usize) -> (Vec<f32>, Vec<f32>) {
    let fits = |x: f32| if subject::domain(activation, x) { x } else { 1.5 };
    let x = inputs(element, len, len as u64).into_iter().map(fits).collect();
    let mut dy = numbers(element, len, 7);
    dy.iter_mut().skip(2).step_by(41).for_each(|dy| *dy = f32::NAN);
    (x, dy)
}

/// Zeros differ in their sign alone, which no bound on errors sees. It is promised at 0, and at -inf where the limit is -0;
/// PyTorch's own devices disagree on softshrink.
fn wrong_sign(activation: &Activation, x: f32, truth: f64, actual: f32) -> bool {
    let limit = x == f32::NEG_INFINITY && activation.spec().is_some_and(|spec| spec.differs.contains("-0 at -inf"));
    let promised = x == 0.0 && !matches!(activation, Activation::SoftShrink { .. });
    (promised || limit) && truth == 0.0 && truth.is_sign_negative() != actual.is_sign_negative()
}
