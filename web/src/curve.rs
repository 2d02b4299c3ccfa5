//! A function's picture, with the error of every point.

use ffwd::accuracy::{self, Sample};
use ffwd::shader::function::Function;
use ffwd::verify::Case;
use ffwd::{Activation, Element, Error, Gpu, activate_async, activate_backward_async, oracle};
use serde_json::{Value, json};

/// Points of a curve.
const POINTS: usize = 601;

pub async fn draw(gpu: &Gpu, activation: &Activation, low: f32, high: f32) -> Result<Value, Error> {
    let x: Vec<f32> = (0..POINTS).map(|i| low + (high - low) * i as f32 / (POINTS - 1) as f32).collect();
    let y = activate_async(gpu, activation.clone(), &x).await?;
    let slope = activate_backward_async(gpu, activation.clone(), &x, &[1.0; POINTS]).await?;
    Ok(json!({
        "x": x,
        "value": curve(activation, false, &x, &y),
        "derivative": curve(activation, true, &x, &slope),
    }))
}

/// Where a function or its derivative has roots of terms that cancel, what the contract forgives there.
fn forgiven(activation: &Activation, terms: f64) -> f64 {
    let rooted = matches!(activation, Activation::Rational { .. } | Activation::Xielu { .. });
    if rooted { terms * f64::exp2(-23.0) } else { 0.0 }
}

fn curve(activation: &Activation, backward: bool, x: &[f32], actual: &[f32]) -> Value {
    let case = Case { function: Function::Activation(activation.clone()), backward, element: Element::F32 };
    let allowed = case.allowed(if backward { "dx" } else { "y" });
    let sample = |(x, actual): (&f32, &f32)| {
        accuracy::judged(Element::F32, allowed, *x, |x| {
            let x = f64::from(x);
            let (truth, terms) = if backward {
                (oracle::derivative(activation, x), oracle::derivative_terms(activation, x))
            } else {
                (oracle::value(activation, x), oracle::terms(activation, x))
            };
            Sample { actual: *actual, truth, forgiven: forgiven(activation, terms) }
        })
    };
    let samples: Vec<Sample> = x.iter().zip(actual).map(sample).collect();
    let worst = accuracy::worst(&samples, Element::F32, allowed);
    json!({ "y": actual, "ulp": worst.ulp, "at": x[worst.index], "allowed": allowed, "breaches": worst.breaches })
}
