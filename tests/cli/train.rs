//! `ffwd train`: what it writes, that it goes on where it stopped, and what it refuses.

use std::path::Path;

use serde_json::Value;

use crate::support::{ffwd, succeed};

/// Small networks, of which a step takes a few milliseconds.
const SMALL: [&str; 12] =
    ["--d-model", "32", "--context", "8", "--batch", "64", "--blocks", "1", "--evaluate-every", "20", "--multiple-of", "8"];

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn train(args: &[&str]) -> Result<String, String> {
    succeed(&[&["train"], args].concat())
}

/// The networks of a run with these options.
fn networks(args: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json");
    train(&[args, &SMALL, &["--json", file.to_str().unwrap()]].concat()).unwrap();
    json(&file)["networks"].as_array().unwrap().clone()
}

fn validation(network: &Value) -> f64 {
    network["evaluations"].as_array().unwrap().last().unwrap()["loss"].as_f64().unwrap()
}

#[test]
fn every_step_is_written_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (file, picture) = (folder.path().join("run.json"), folder.path().join("run.svg"));
    let args = ["relu", "swish", "swiglu", "--steps", "45", "--json", file.to_str().unwrap(), "--picture", picture.to_str().unwrap()];
    let page = train(&[&args, &SMALL[..]].concat()).unwrap();
    let run = json(&file);
    assert_eq!(run["schema"], "ffwd-train/1");
    let networks = run["networks"].as_array().unwrap();
    for (network, name) in networks.iter().zip(["relu", "swish", "swiglu"]) {
        assert_eq!(network["name"], name);
        assert!(page.contains(name), "{page}");
        let steps = network["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 45);
        for (k, step) in steps.iter().enumerate() {
            assert_eq!(step[0], k);
            assert!(step[1].as_f64().unwrap() > 0.0 && step[2].as_f64().unwrap() > 0.0, "{step}");
        }
        // Who knows nothing of 57 characters has log(57) = 4.04.
        let evaluations = network["evaluations"].as_array().unwrap();
        let taken: Vec<_> = evaluations.iter().map(|e| e["step"].as_u64().unwrap()).collect();
        assert_eq!(taken, [0, 20, 40, 45]);
        let (first, last) = (evaluations[0]["loss"].as_f64().unwrap(), validation(network));
        assert!(last < 4.0 && first > last + 0.5, "{first} to {last}");
        let perplexity = evaluations[3]["perplexity"].as_f64().unwrap();
        assert!((perplexity.ln() - last).abs() < 1e-9, "{perplexity}");
        assert_eq!(evaluations[3]["dead"].as_array().unwrap().len(), 1);
    }
    // Equal parameters: 4 * 32 hidden features, or two thirds of that, in whole eights; swish learns one more.
    let parameters: Vec<_> = networks.iter().map(|network| network["parameters"].as_u64().unwrap()).collect();
    let ends = 57 * 4 + 57 * 32;
    assert_eq!(parameters, [2 * 32 * 128 + ends, 2 * 32 * 128 + 1 + ends, 3 * 32 * 88 + ends]);
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("swiglu") && !drawn.contains("NaN"));
}

/// The same bits, as if it had never stopped: steps, evaluations, checkpoint.
#[test]
fn a_checkpoint_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let setup = [&["gelu", "swiglu", "--schedule", "constant", "--warm-up", "5", "--dropout", "0.1"], &SMALL[..]].concat();
    let end = |name: &str| ["--checkpoint".to_owned(), path(&format!("{name}.safetensors")), "--json".to_owned(), path(name)];
    let run = |args: &[&str], name: &str| train(&[args, &end(name).each_ref().map(String::as_str)].concat()).unwrap();
    run(&[&setup[..], &["--steps", "40"]].concat(), "whole");
    run(&[&setup[..], &["--steps", "25"]].concat(), "part");
    run(&["--resume", &path("part.safetensors"), "--steps", "40"], "rest");
    let (whole, rest) = (json(Path::new(&path("whole"))), json(Path::new(&path("rest"))));
    for k in 0..2 {
        let (whole, rest) = (&whole["networks"][k], &rest["networks"][k]);
        assert_eq!(whole["steps"], rest["steps"]);
        // The part was measured where it ended, too.
        let measured = |network: &Value| network["evaluations"].as_array().unwrap().iter().filter(|e| e["step"] != 25).cloned().collect();
        let (whole, rest): (Vec<Value>, Vec<Value>) = (measured(whole), measured(rest));
        assert_eq!(whole, rest);
    }
    let tensors = |name: &str| crate::support::read(Path::new(&path(name)));
    let (whole, rest) = (tensors("whole.safetensors"), tensors("rest.safetensors"));
    assert_eq!(whole.keys().collect::<Vec<_>>(), rest.keys().collect::<Vec<_>>());
    for (name, tensor) in &whole {
        assert_eq!(tensor.bytes, rest[name].bytes, "{name}");
    }
    let other = train(&["--resume", &path("whole.safetensors"), "--seed", "3"]).unwrap_err();
    assert!(other.contains("--resume") && other.contains("--seed"), "{other}");
}

/// Networks differ in nothing but their activation: what one of them learns besides does not change the others' numbers.
#[test]
fn matrices_are_drawn_alike() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("start.safetensors");
    let args = ["gelu", "swish", "rational", "--blocks", "3", "--d-model", "32", "--steps", "0", "--checkpoint", file.to_str().unwrap()];
    train(&args).unwrap();
    let tensors = crate::support::read(&file);
    let matrices = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("gelu/blocks.")?, tensor)));
    let mut count = 0;
    for (name, tensor) in matrices {
        for other in ["swish", "rational"] {
            assert_eq!(tensor.bytes, tensors[&format!("{other}/blocks.{name}")].bytes, "{other} {name}");
        }
        count += 1;
    }
    assert_eq!(count, 6);
}

/// A checkpoint whose text was changed, or that is not whole, is refused; a file is not written twice.
#[test]
fn checkpoints_belong_to_their_data() {
    let folder = tempfile::tempdir().unwrap();
    let (text, file) = (folder.path().join("text"), folder.path().join("checkpoint.safetensors"));
    let words = "all that is gold does not glitter. ".repeat(100);
    std::fs::write(&text, &words).unwrap();
    let (text, file) = (text.to_str().unwrap(), file.to_str().unwrap());
    train(&[&["relu", "--steps", "3", "--text", text, "--checkpoint", file], &SMALL[..]].concat()).unwrap();
    train(&["--resume", file, "--steps", "4"]).unwrap();
    std::fs::write(text, words.replace("gold", "dolg")).unwrap();
    let error = train(&["--resume", file, "--steps", "4"]).unwrap_err();
    assert!(error.contains("made on another task"), "{error}");
    let error = train(&["relu", "--json", file, "--checkpoint", file]).unwrap_err();
    assert!(error.contains("named for two files"), "{error}");
}

/// Ctrl-C leaves a checkpoint from which it goes on.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_checkpoint() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ffwd"))
        .args([&["train", "relu", "--steps", "1000000", "--schedule", "constant", "--warm-up", "0"], &SMALL[..]].concat())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first line says that training begins, and that a signal will be heard.
    assert!(lines.next().unwrap().unwrap().contains("next character"));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success() && killed.success(), "{rest:?}");
    let last = rest.last().unwrap();
    assert!(last.contains("--resume ffwd-train.safetensors"), "{rest:?}");
    let taken: u32 = last.split_whitespace().nth(2).unwrap().parse().unwrap();
    let file = folder.path().join("ffwd-train.safetensors");
    let until = (taken + 10).to_string();
    train(&["--resume", file.to_str().unwrap(), "--steps", &until, "--checkpoint", file.to_str().unwrap()]).unwrap();
}

/// The kinds of 16 bits learn as much as f32: within 2% of its validation loss.
#[test]
fn sixteen_bits_learn_as_much() {
    let names = ["gelu", "swiglu", "--steps", "100"];
    let of = |more: &[&str]| networks(&[&names, more].concat()).iter().map(validation).collect::<Vec<_>>();
    let f32s = of(&[]);
    for element in ["bf16", "f16"] {
        let halves = of(&["--element", element]);
        for (half, f32) in halves.iter().zip(&f32s) {
            assert!((half / f32 - 1.0).abs() < 0.02, "{element}: {half} for {f32}");
            // They are not f32 under another name.
            assert!(half.to_bits() != f32.to_bits(), "{element}: {half}");
        }
    }
}

/// Where hidden is f16, a gate's product passes 65504, and that is said; the other networks go on.
#[test]
fn a_failure_is_named_and_stays_alone() {
    let args = ["relu", "swiglu", "--task", "regression", "--steps", "20", "--rate", "1000", "--clip", "0", "--optimizer", "sgd"];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.json");
    let output = ffwd(&[&["train"], &args[..], &SMALL, &["--json", file.to_str().unwrap()]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("swiglu: training failed at step"), "{error}");
    assert!(error.contains("gradients are not finite") && error.contains("seen in `blocks.0."), "{error}");
    let run = json(&file);
    let failed = &run["networks"][1];
    assert!(failed["failure"].as_str().unwrap().contains("not finite"));
    // The step that it failed in is among those that were written.
    let step = error.split("swiglu: training failed at step ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
    assert!(failed["steps"].as_array().unwrap().iter().any(|line| line[0].as_u64() == Some(step) && line[2].is_null()), "{step}");
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    crate::support::write(&other, &[("x", &crate::support::Raw::f32(&[1], &[1.0]))]);
    let cases = [
        (vec!["relo"], "nearest: relu"),
        (vec!["relu", "relu"], "`relu` is named twice"),
        (vec!["relu", "--d-model", "20"], "a multiple of the context, 16 is needed"),
        (vec!["relu", "--d-model", "0"], "`d_model` is 0"),
        (vec!["relu", "--batch", "0"], "`batch` is 0"),
        (vec!["relu", "--dropout", "1"], "`probability` is 1"),
        (vec!["relu", "--rate=-1"], "`rate` is -1"),
        (vec!["relu", "--loss-scale", "0"], "`scale` is 0"),
        (vec!["relu", "--text", "/nowhere/at/all"], "cannot read /nowhere/at/all"),
        (vec!["relu", "--picture", "run.gif"], ".svg or .png is needed"),
        (vec!["--resume", other.to_str().unwrap()], "no checkpoint of `ffwd train`"),
    ];
    for (args, wanted) in cases {
        let output = ffwd(&[vec!["train"], args].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(wanted) && error.lines().count() == 1, "{wanted}: {error}");
    }
}
