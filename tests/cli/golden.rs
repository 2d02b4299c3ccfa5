//! Every case of the reference files, through the binary, within the accuracy contract.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ffwd::accuracy::{Sample, ulp, worst};
use ffwd::oracle::{self, Bounded, DenseWeights, GatedWeights};
use ffwd::{Activation, Element, Gate};
use serde_json::Value;

use crate::specials;
use crate::support::{Raw, Tensors, data, read, succeed, write};

const ULP_VALUE: f64 = 4.0;
const ULP_DERIVATIVE: f64 = 8.0;
const ULP_HALF_KINDS: f64 = 0.51;
const EPS: f64 = 1.0 / (1 << 24) as f64;

/// The cases that the command line is to reproduce; quantised blocks have tests of their own.
const FAMILIES: [(&str, usize); 5] = [("activations", 122), ("glu", 80), ("ffn", 21), ("llama_mlp", 1), ("bert_ffn", 1)];

/// A case of the manifest with its files, and a folder for it.
struct Case<'a> {
    name: &'a str,
    spec: &'a Value,
    tensors: &'a Tensors,
    folder: PathBuf,
}

#[test]
fn every_case_is_reproduced() {
    let manifest: Value = serde_json::from_slice(&std::fs::read(data("manifest.json")).unwrap()).unwrap();
    let cases: Vec<_> = manifest["cases"].as_array().unwrap().iter().collect();
    let family = |case: &Value| case["name"].as_str().unwrap().split('/').next().unwrap().to_owned();
    for (name, count) in FAMILIES {
        assert_eq!(cases.iter().filter(|case| family(case) == name).count(), count, "{name}");
    }
    let cases: Vec<_> = cases.into_iter().filter(|case| family(case) != "quant").collect();
    assert_eq!(cases.len(), FAMILIES.iter().map(|(_, count)| count).sum::<usize>());
    let mut files = BTreeMap::new();
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        files.entry(file).or_insert_with(|| read(&data(file)));
    }
    let folder = tempfile::tempdir().unwrap();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get().min(8)) {
            scope.spawn(|| {
                while let Some((index, spec)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, cases.get(i)?))) {
                    let name = spec["name"].as_str().unwrap();
                    let case =
                        Case { name, spec, tensors: &files[spec["file"].as_str().unwrap()], folder: folder.path().join(index.to_string()) };
                    std::fs::create_dir(&case.folder).unwrap();
                    let result = if name.starts_with("activations") || name.starts_with("glu") { case.elementwise() } else { case.layer() };
                    if let Err(failure) = result {
                        failures.lock().unwrap().push(format!("{name}: {failure}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

impl Case<'_> {
    /// The tensor in role `role` of `part` ("inputs" or "outputs").
    fn tensor(&self, part: &str, role: &str) -> Option<&Raw> {
        self.spec[part][role].as_str().map(|name| &self.tensors[name])
    }

    fn roles(&self, part: &str) -> impl Iterator<Item = (&str, &Raw)> {
        let roles = self.spec[part].as_object().unwrap();
        roles.iter().map(|(role, name)| (role.as_str(), &self.tensors[name.as_str().unwrap()]))
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn elementwise(&self) -> Result<(), String> {
        let ones;
        let mut inputs: Vec<_> = self.roles("inputs").collect();
        let special = self.name.ends_with("/specials");
        if special {
            let x = inputs[0].1;
            ones = Raw::f32(&x.shape, &vec![1.0; x.to_f32().len()]);
            inputs.push(("dy", &ones));
        }
        let (input, output) = (self.path("in.safetensors"), self.path("out.safetensors"));
        write(Path::new(&input), &inputs);
        let mut args =
            vec!["run".to_owned(), self.spec["op"].as_str().unwrap().into(), "--input".into(), input, "--output".into(), output.clone()];
        for (name, value) in self.spec["params"].as_object().unwrap() {
            args.push(format!("--param={name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        // PyTorch's own GLU has its layout by default.
        let layout = match self.spec["layout"].as_str() {
            Some("separate") => Some("separate"),
            Some(text) if text.starts_with("[gate|up]") => Some("packed"),
            Some(text) if text.starts_with("gate at even") => Some("interleaved"),
            Some(text) => (!text.starts_with("[a|b]")).then(|| panic!("{text}")),
            None => None,
        };
        args.extend(layout.map(|layout| format!("--layout={layout}")));
        let backward = inputs.iter().any(|(role, _)| *role == "dy");
        args.extend(backward.then(|| "--backward".to_owned()));
        succeed(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        let written = read(Path::new(&output));
        let x = inputs[0].1;
        let mut wrong = Vec::new();
        for (role, expected) in self.roles("outputs") {
            let name = role.split("_torch").next().unwrap();
            let Some(actual) = written.get(name) else { return Err(format!("no `{name}` in the output")) };
            let of_parameter = inputs.iter().any(|(input, _)| name == format!("d{input}") && !matches!(*input, "x" | "gate" | "up"));
            let element = if of_parameter { Some(Element::F32) } else { x.element() };
            if (actual.element(), &actual.shape) != (element, &expected.shape) {
                return Err(format!("`{name}` is {:?} {:?}", actual.dtype, actual.shape));
            }
            wrong.extend(
                match () {
                    () if special => specials::compare(self.spec, name, &x.to_f32(), &actual.to_f32(), &expected.to_f32()),
                    // What PyTorch returns in the narrow kind is no truth.
                    () if role.contains("_torch") => Ok(()),
                    () if of_parameter => self.parameter_gradient(name, actual, expected),
                    () => self.elements(name, actual, expected),
                }
                .err(),
            );
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// The activation with the parameters of channel `c`, from `params` and from tensors.
    fn activation(&self, c: usize) -> Option<Activation> {
        let mut activation = Activation::parse(self.spec["op"].as_str().unwrap()).ok()?;
        for (name, value) in self.spec["params"].as_object().unwrap() {
            if let Some(Ok(changed)) = value.as_f64().map(|value| activation.clone().with(name, value)) {
                activation = changed;
            }
        }
        let mut names = activation.parameters().into_iter().map(|(name, _)| name);
        for &(group, count) in activation.clone().learnable() {
            let names: Vec<_> = names.by_ref().take(count).collect();
            let Some(tensor) = self.tensor("inputs", group) else { continue };
            let values = tensor.to_f64();
            let channels = values.len() / count;
            for (i, name) in names.iter().enumerate() {
                activation = activation.with(name, values[i * channels + c % channels]).unwrap();
            }
        }
        Some(activation)
    }

    /// Compares element by element.
    fn elements(&self, name: &str, actual: &Raw, expected: &Raw) -> Result<(), String> {
        let (element, actual, truth) = (actual.element().unwrap(), actual.to_f32(), expected.to_f64());
        let derivative = name != "y" && name != "dup";
        let mut allowed = if derivative { ULP_DERIVATIVE } else { ULP_VALUE };
        let activation = self.activation(0).filter(|_| self.name.starts_with("activations"));
        if let Some(accuracy) = activation.as_ref().and_then(Activation::spec).map(|spec| spec.accuracy) {
            allowed = allowed.min(if derivative { accuracy.backward } else { accuracy.forward });
        }
        if element != Element::F32 {
            allowed = ULP_HALF_KINDS;
        }
        let (x, dy) = (self.tensor("inputs", "x").map(Raw::to_f64), self.tensor("inputs", "dy").map(Raw::to_f64));
        let forgiven = |i: usize| match (&activation, &x) {
            (Some(rational @ Activation::Rational { .. }), Some(x)) if element == Element::F32 => {
                let terms = match &dy {
                    Some(dy) if derivative => oracle::derivative_terms(rational, x[i]) * dy[i].abs(),
                    _ => oracle::terms(rational, x[i]),
                };
                terms * 2.0 * EPS
            }
            _ => 0.0,
        };
        let samples: Vec<_> =
            truth.iter().enumerate().map(|(i, truth)| Sample { actual: actual[i], truth: *truth, forgiven: forgiven(i) }).collect();
        let worst = worst(&samples, element, allowed);
        if worst.breaches == 0 {
            return Ok(());
        }
        let at = samples[worst.index];
        let count = samples.len();
        Err(format!("{name}: {} of {count} beyond {allowed} ULP, worst {:.3} at {}: {at:?}", worst.breaches, worst.ulp, worst.index))
    }

    /// Compares sums over K elements: K 2^-24 of the terms that are added.
    fn parameter_gradient(&self, name: &str, actual: &Raw, expected: &Raw) -> Result<(), String> {
        let (x, dy) = (self.tensor("inputs", "x").unwrap(), self.tensor("inputs", "dy").unwrap().to_f64());
        let (channels, inner) = match x.shape[..] {
            [_, channels] => (channels, 1),
            [_, channels, h, w] => (channels, h * w),
            _ => return Err(format!("x of shape {:?}", x.shape)),
        };
        let activation = self.activation(0).unwrap();
        let (mut first, mut count) = (0, 0);
        for &(group, parameters) in activation.learnable() {
            first += count;
            count = parameters;
            if name[1..] == *group {
                break;
            }
        }
        let sums = actual.to_f32().len() / count;
        let (mut terms, mut totals) = (vec![0.0; count * sums], vec![0.0; count * sums]);
        let x = x.to_f64();
        for (i, x) in x.iter().enumerate() {
            let channel = i / inner % channels;
            for (k, gradient) in oracle::parameter_gradient(&self.activation(channel).unwrap(), *x)[first..][..count].iter().enumerate() {
                let place = k * sums + channel % sums;
                terms[place] += (gradient * dy[i]).abs();
                totals[place] += gradient * dy[i];
            }
        }
        let k = (x.len() / sums) as f64;
        for (i, (actual, truth)) in actual.to_f64().iter().zip(expected.to_f64()).enumerate() {
            assert!((totals[i] - truth).abs() <= 1e-12 * terms[i], "{}: the oracle has {}, PyTorch {truth}", self.name, totals[i]);
            let (error, bound) = ((actual - truth).abs(), k * EPS * terms[i]);
            if error.is_nan() || error > bound {
                return Err(format!("{name}[{i}]: {actual} for {truth}: off by {error:e}, {bound:e} allowed"));
            }
        }
        Ok(())
    }

    /// A feed-forward layer, within (d_model + d_ff) 2^-24 of the oracle's terms, and half a unit where it is stored.
    fn layer(&self) -> Result<(), String> {
        let (input, model, output) = (self.path("in.safetensors"), self.path("model.safetensors"), self.path("out.safetensors"));
        let x = self.tensor("inputs", "x").unwrap();
        let dy = self.tensor("inputs", "dy");
        write(Path::new(&input), &dy.iter().map(|dy| ("dy", *dy)).chain([("x", x)]).collect::<Vec<_>>());
        let activation = self.spec["params"]["activation"].as_str().unwrap();
        let (model, exact) = match self.spec["params"]["weights_file"].as_str() {
            Some(file) => (data(file).to_str().unwrap().to_owned(), self.quantised(file, x, activation)),
            None => {
                let weights: Vec<_> = self.roles("inputs").filter(|(role, _)| !matches!(*role, "x" | "dy")).collect();
                write(Path::new(&model), &weights);
                let weights = weights.into_iter().map(|(role, raw)| (role, raw.to_f32())).collect();
                (model, self::oracle(&weights, x, activation))
            }
        };
        let mut command = vec!["ffn", "--model", &model, "--activation", activation, "--input", &input, "--output", &output];
        command.extend(dy.map(|_| "--backward"));
        succeed(&command)?;
        let written = read(Path::new(&output));
        let (actual, expected) = (&written["y"], self.tensor("outputs", "y").unwrap());
        if (actual.dtype, &actual.shape) != (x.dtype, &expected.shape) {
            return Err(format!("y is {:?} {:?}", actual.dtype, actual.shape));
        }
        let (d_model, d_ff) = (*x.shape.last().unwrap(), exact.1);
        let element = actual.element().unwrap();
        let mut most = 0.0_f64;
        for (i, (actual, truth)) in actual.to_f64().iter().zip(expected.to_f64()).enumerate() {
            let Bounded { value, terms } = exact.0[i];
            assert!((value - truth).abs() <= 1e-12 * terms, "{}[{i}]: the oracle has {value}, PyTorch {truth}", self.name);
            let stored = if element == Element::F32 { 0.0 } else { 0.5 * ulp(element, truth) };
            let share = ((actual - truth).abs() - stored) / ((d_model + d_ff) as f64 * EPS * terms);
            most = if most.is_nan() || share <= most { most } else { share };
        }
        if most > 1.0 || most.is_nan() {
            return Err(format!("y: {most} of the bound"));
        }
        dy.map_or(Ok(()), |dy| self.layer_gradients(&written, x, dy, activation))
    }

    /// Every gradient that PyTorch has, within (tokens + d_model + d_ff) 2^-24 of the oracle's terms, twice.
    fn layer_gradients(&self, written: &Tensors, x: &Raw, dy: &Raw, activation: &str) -> Result<(), String> {
        let weights: BTreeMap<_, _> = self.roles("inputs").map(|(role, raw)| (role, raw.to_f32())).collect();
        let (exact, count) = oracle_gradients(&weights, &x.to_f32(), &dy.to_f32(), *x.shape.last().unwrap(), activation);
        let mut seen = 0;
        for (role, expected) in self.roles("outputs").filter(|(role, _)| role.starts_with('d')) {
            let actual = written.get(role).ok_or_else(|| format!("{role} is not written"))?;
            if actual.shape != expected.shape {
                return Err(format!("{role} is {:?}", actual.shape));
            }
            for (i, (actual, truth)) in actual.to_f64().iter().zip(expected.to_f64()).enumerate() {
                let Bounded { value, terms } = exact[role][i];
                assert!((value - truth).abs() <= 1e-12 * terms, "{} {role}[{i}]: the oracle has {value}, PyTorch {truth}", self.name);
                let (error, bound) = ((actual - truth).abs(), 2.0 * count as f64 * EPS * terms);
                if error.is_nan() || error > bound {
                    return Err(format!("{role}[{i}]: {actual} for {truth}: off by {error:e}, {bound:e} allowed"));
                }
            }
            seen += 1;
        }
        if seen == written.len() - 1 { Ok(()) } else { Err(format!("{seen} gradients of PyTorch's, {} written", written.len() - 1)) }
    }

    fn quantised(&self, file: &str, x: &Raw, activation: &str) -> (Vec<Bounded>, usize) {
        let weights = ffwd::weights::load_feed_forward(&data(file), 0).unwrap();
        let weights = weights.operands().into_iter().map(|(role, tensor)| (role, tensor.to_f32())).collect();
        oracle(&weights, x, activation)
    }
}

/// Weights that are rounded when they are loaded: the truth is that of the rounded ones.
#[test]
fn weights_are_kept_in_the_kind_asked_for() {
    let (file, folder) = ("../../examples/data/smollm2_layer0.gguf", tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let x = read(&data("../../examples/data/smollm2_layer0.safetensors"))["layer0.x"].clone();
    let (input, output) = (path("in.safetensors"), path("out.safetensors"));
    write(Path::new(&input), &[("x", &x)]);
    let stored = ffwd::weights::load_feed_forward(&data(file), 0).unwrap();
    for element in Element::ALL {
        let rounded = |values: Vec<f32>| element.decode(&element.encode(&values));
        let weights = stored.operands().into_iter().map(|(role, tensor)| (role, rounded(tensor.to_f32()))).collect();
        let (exact, d_ff) = oracle(&weights, &x, "silu");
        let model = data(file);
        succeed(&["ffn", "--model", model.to_str().unwrap(), "--element", element.name(), "--input", &input, "--output", &output]).unwrap();
        for (actual, exact) in read(Path::new(&output))["y"].to_f64().iter().zip(exact) {
            let bound = (x.shape[1] + d_ff) as f64 * EPS * exact.terms;
            assert!((actual - exact.value).abs() <= bound, "{element}: {actual} for {}", exact.value);
        }
    }
}

/// The layer in f64, and d_ff.
fn oracle(weights: &BTreeMap<&str, Vec<f32>>, x: &Raw, activation: &str) -> (Vec<Bounded>, usize) {
    let (d_model, x) = (*x.shape.last().unwrap(), x.to_f32());
    let tokens = x.len() / d_model;
    let bias = |role| weights.get(role).map(Vec::as_slice);
    if let Some(w1) = weights.get("w1") {
        let d_ff = w1.len() / d_model;
        let weights = DenseWeights { d_model, d_ff, w1, b1: bias("b1"), w2: &weights["w2"], b2: bias("b2") };
        return (oracle::dense(&x, tokens, &weights, &Activation::parse(activation).unwrap()), d_ff);
    }
    let (w_gate, w_up, w_down) = (&weights["w_gate"], &weights["w_up"], &weights["w_down"]);
    let d_ff = w_gate.len() / d_model;
    let (b_gate, b_up, b_down) = (bias("b_gate"), bias("b_up"), bias("b_down"));
    let weights = GatedWeights { d_model, d_ff, w_gate, b_gate, w_up, b_up, w_down, b_down };
    (oracle::gated(&x, tokens, &weights, &Gate::parse(activation).unwrap()), d_ff)
}

/// The gradients in f64 by role, and the terms of their sums.
fn oracle_gradients<'a>(
    weights: &BTreeMap<&str, Vec<f32>>,
    x: &[f32],
    dy: &[f32],
    d_model: usize,
    activation: &str,
) -> (BTreeMap<&'a str, Vec<Bounded>>, usize) {
    let tokens = x.len() / d_model;
    let bias = |role| weights.get(role).map(Vec::as_slice);
    if let Some(w1) = weights.get("w1") {
        let d_ff = w1.len() / d_model;
        let weights = DenseWeights { d_model, d_ff, w1, b1: bias("b1"), w2: &weights["w2"], b2: bias("b2") };
        let g = oracle::dense_backward(x, dy, tokens, &weights, &Activation::parse(activation).unwrap());
        let all = [("dx", g.x), ("dw1", g.w1), ("db1", g.b1), ("dw2", g.w2), ("db2", g.b2)];
        return (all.into(), tokens + d_model + d_ff);
    }
    let (w_gate, w_up, w_down) = (&weights["w_gate"], &weights["w_up"], &weights["w_down"]);
    let d_ff = w_gate.len() / d_model;
    let (b_gate, b_up, b_down) = (bias("b_gate"), bias("b_up"), bias("b_down"));
    let weights = GatedWeights { d_model, d_ff, w_gate, b_gate, w_up, b_up, w_down, b_down };
    let g = oracle::gated_backward(x, dy, tokens, &weights, &Gate::parse(activation).unwrap());
    let gate = [("dw_gate", g.w_gate), ("db_gate", g.b_gate), ("dw_up", g.w_up), ("db_up", g.b_up)];
    (gate.into_iter().chain([("dx", g.x), ("dw_down", g.w_down), ("db_down", g.b_down)]).collect(), tokens + d_model + d_ff)
}
