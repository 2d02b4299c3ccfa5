//! Gradients of mixtures of experts against the oracle, by the bound of their sums.

mod support;

use ffwd::Element::{self, Bf16, F16, F32};
use ffwd::nn::{Mixture, MixtureBackward};
use ffwd::oracle::Bounded;
use ffwd::routing::Routing;
use ffwd::{Error, Gpu, Tensor};
use support::layer::{some_loops, tokens, two_loops};
use support::mixture::{Weights, forms};
use support::product::small;
use support::{Guarded, devices, gpu, numbers, same_bits};

/// So many numbers for the gradient of this name.
type Before = dyn Fn(&str, usize) -> Vec<f32>;

/// What a backward pass wrote: dx, then every gradient by its name. With `before`, gradients of weights start with numbers.
fn gradients(
    gpu: &Gpu,
    mixture: &Mixture,
    [x, dy]: [&Tensor; 2],
    [dx, dw]: [Element; 2],
    before: Option<&Before>,
) -> Result<Vec<(String, Vec<f32>)>, String> {
    let mut layer = mixture.layer().clone();
    layer.choice_bias = None;
    let named: Vec<_> = layer.named().into_iter().map(|(name, matrix)| (name, matrix.plain().unwrap().clone())).collect();
    let name_of = |tensor: &Tensor| named.iter().find(|(_, other)| other == tensor).unwrap().0.clone();
    let mut outputs = Vec::new();
    let into = layer.map(|matrix| {
        let tensor = matrix.plain()?;
        let name = name_of(tensor);
        let output = match before {
            Some(before) => Guarded::holding(gpu, &before(&name, tensor.len()), tensor.shape(), dw, 1),
            None => Guarded::output(gpu, tensor.shape(), dw, 1),
        };
        outputs.push((name, output));
        Ok(outputs[outputs.len() - 1].1.tensor.clone())
    });
    let (into, dx) = (into.unwrap(), Guarded::output(gpu, x.shape(), dx, 3));
    let args = MixtureBackward { dx: Some(&dx.tensor), accumulate: before.is_some(), ..MixtureBackward::new(x, dy, &into) };
    let plan = mixture.backward(args).map_err(|error| error.to_string())?;
    let read = || -> Result<Vec<_>, String> {
        plan.submit(gpu);
        let dx = ("x".to_owned(), dx.check(gpu)?);
        let rest = outputs.iter().map(|(name, output)| Ok((name.clone(), output.check(gpu).map_err(|fault| format!("{name}: {fault}"))?)));
        std::iter::once(Ok(dx)).chain(rest).collect()
    };
    let first = read()?;
    if before.is_none() {
        for ((name, again), (_, first)) in read()?.iter().zip(&first) {
            same_bits(again, first).map_err(|fault| format!("the second run of {name}: {fault}"))?;
        }
    }
    Ok(first)
}

fn judge(
    weights: &Weights,
    rows: usize,
    [dx, dw]: [Element; 2],
    truths: &[(String, Vec<Bounded>)],
    found: &[(String, Vec<f32>)],
) -> Result<(), String> {
    for (name, actual) in found {
        let (_, truth) = truths.iter().find(|(other, _)| other == name).ok_or_else(|| format!("no truth of {name}"))?;
        weights.judge(name, 2 * rows, if name == "x" { dx } else { dw }, truth, actual)?;
    }
    Ok(())
}

/// Kinds of x, dy, dx and the weights' gradients.
fn check_on(gpu: &Gpu, weights: &Weights, kinds: [Element; 4], rows: usize, mixture: Mixture) -> Result<(), String> {
    let [x, y, dx, dw] = kinds;
    let (input, dy) = (tokens(x, rows, weights.d_model), numbers(y, rows * weights.d_model, 18));
    let truths = weights.gradients(&input, &dy);
    assert!(ffwd::oracle::mixture(&input, rows, &weights.truth()).routed.iter().all(|routed| routed.clear));
    let shape = [rows, weights.d_model];
    let (input, dy) = (Guarded::holding(gpu, &input, &shape, x, 2), Guarded::holding(gpu, &dy, &shape, y, 0));
    let found = gradients(gpu, &mixture, [&input.tensor, &dy.tensor], [dx, dw], None)?;
    judge(weights, rows, [dx, dw], &truths, &found)
}

fn check(cases: &[Weights], kinds: [Element; 4], rows: &[usize]) {
    let mut faults = Vec::new();
    for device in devices() {
        for (number, weights) in cases.iter().enumerate() {
            for rows in rows {
                for looping in two_loops(&device.gpu) {
                    let mixture = weights.upload(&device.gpu, 0).with_loop(looping);
                    if let Err(fault) = check_on(&device.gpu, weights, kinds, *rows, mixture) {
                        faults.push(format!("case {number}, {rows} tokens, {kinds:?}, {looping} on {}: {fault}", device.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn gradients_of_every_form() {
    for sizes in [[5, 17, 13], [8, 32, 24]] {
        check(&forms(F32, sizes), [F32; 4], &[1, 19]);
    }
}

#[test]
fn experts_may_have_all_tokens_or_none() {
    let mut one = Weights::random(Routing::softmax(1), "swiglu", F32, [9, 12, 8]).biased();
    one.router_bias = Some((0..9).map(|e| if e == 6 { 20.0 } else { 0.0 }).collect());
    let mut two = Weights::random(Routing::softmax(2), "swiglu", F32, [9, 12, 8]).biased();
    two.router_bias = Some((0..9).map(|e| if e % 8 == 0 { 20.0 } else { 0.0 }).collect());
    check(&[one, two], [F32; 4], &[1, 64, 65]);
}

#[test]
fn kinds_mix() {
    for (w, kinds) in
        [(F16, [F32, F32, F32, F32]), (Bf16, [Bf16, F32, Bf16, F32]), (F16, [F16, F16, F16, F16]), (F32, [F32, Bf16, F32, Bf16])]
    {
        for sizes in [[5, 9, 7], [4, 16, 12]] {
            check(&[Weights::random(Routing::softmax(2).unnormalised(), "swiglu", w, sizes).biased().sharing(true)], kinds, &[11]);
        }
    }
}

#[test]
fn every_sort_of_loop() {
    for weights in [[5, 17, 13], [4, 36, 40]].map(|sizes| Weights::random(Routing::softmax(2), "swiglu", F32, sizes).biased()) {
        for looping in some_loops(gpu()) {
            let mixture = weights.upload(gpu(), 0).with_loop(looping);
            check_on(gpu(), &weights, [F32; 4], 23, mixture).unwrap_or_else(|fault| panic!("{looping}: {fault}"));
        }
        check_on(gpu(), &weights, [F32; 4], 23, weights.upload(gpu(), 0)).unwrap();
    }
}

/// Experts cut into ranges, one expert into parts of its depth, tokens into parts whose gradients are added up.
#[test]
fn limits_are_no_limits() {
    let weights = Weights::random(Routing::softmax(2), "swiglu", F32, [5, 80, 96]).biased().sharing(true);
    for bytes in [100_000, 40_000, 26_000] {
        let small = small(bytes, 65535);
        for looping in two_loops(&small) {
            let mixture = weights.upload(&small, 0).with_loop(looping);
            check_on(&small, &weights, [F32; 4], 90, mixture).unwrap_or_else(|fault| panic!("{bytes} bytes, {looping}: {fault}"));
        }
    }
}

#[test]
fn gradients_may_be_added_to_what_is_there() {
    let weights = Weights::random(Routing::softmax(2).unnormalised(), "swiglu", F32, [5, 12, 8]).biased().sharing(true);
    let (x, dy) = (tokens(F32, 13, 12), numbers(F32, 13 * 12, 18));
    let before = |name: &str, len: usize| numbers(F32, len, 60 + name.len() as u64);
    let mut truths = weights.gradients(&x, &dy);
    for (name, truth) in truths.iter_mut().filter(|(name, _)| name != "x") {
        let before = before(name, truth.len());
        for (truth, before) in truth.iter_mut().zip(before) {
            truth.value += f64::from(before);
            truth.terms += f64::from(before.abs());
        }
    }
    let [x, dy] = [x, dy].map(|values| gpu().tensor(&values, &[13, 12], F32).unwrap());
    let found = gradients(gpu(), &weights.upload(gpu(), 0), [&x, &dy], [F32; 2], Some(&before)).unwrap();
    judge(&weights, 13, [F32; 2], &truths, &found).unwrap();
}

#[test]
fn without_tokens_gradients_are_zero() {
    let weights = Weights::random(Routing::softmax(2), "swiglu", F32, [5, 12, 8]).biased().sharing(true);
    let none = gpu().zeros(&[0, 12], F32).unwrap();
    let found = gradients(gpu(), &weights.upload(gpu(), 0), [&none, &none], [F32; 2], None).unwrap();
    assert!(found.iter().all(|(_, gradient)| gradient.iter().all(|g| *g == 0.0)));
}

#[test]
fn the_same_bits_on_both_devices() {
    for weights in forms(F32, [8, 32, 24]) {
        let (x, dy) = (tokens(F32, 37, 32), numbers(F32, 37 * 32, 18));
        let of = |gpu: &Gpu| {
            let [x, dy] = [&x, &dy].map(|values| gpu.tensor(values, &[37, 32], F32).unwrap());
            let mixture = weights.upload(gpu, 0).with_loop(two_loops(gpu)[0]);
            gradients(gpu, &mixture, [&x, &dy], [F32; 2], None).unwrap()
        };
        let (first, second) = (of(gpu()), of(&devices()[1].gpu));
        for ((name, a), (_, b)) in first.iter().zip(&second) {
            same_bits(a, b).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let weights = Weights::random(Routing::softmax(2), "swiglu", F32, [5, 12, 8]).biased();
    let mixture = weights.upload(gpu(), 0);
    let [x, dy] = [(); 2].map(|()| gpu().zeros(&[3, 12], F32).unwrap());
    let gradients = mixture.gradients().unwrap();
    let refused = |args: MixtureBackward<'_>| mixture.backward(args).expect_err("refused");
    let short = gpu().zeros(&[2, 12], F32).unwrap();
    assert!(matches!(refused(MixtureBackward::new(&x, &short, &gradients)), Error::Shape { operand: "dy", .. }));
    assert!(matches!(refused(MixtureBackward { dx: Some(&x), ..MixtureBackward::new(&x, &dy, &gradients) }), Error::Alias { .. }));
    let other = Weights { biases: None, ..weights }.upload(gpu(), 0).gradients().unwrap();
    assert!(matches!(refused(MixtureBackward::new(&x, &dy, &other)), Error::Unsupported { .. }));
    assert!(matches!(refused(MixtureBackward::new(&x, &dy, mixture.layer())), Error::Alias { .. }));
}
