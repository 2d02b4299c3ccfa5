//! `ffwd quantize`: every kind out of every kind of file, what stays, and what is refused.

use std::path::{Path, PathBuf};

use ffwd::Element;
use ffwd::weights::{Block, Encoding, HostTensor, Tensors, load_feed_forward, read_gguf, write_safetensors};
use serde_json::Value;

use crate::support::{data, ffwd, succeed};

const KINDS: [&str; 12] = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "mxfp4", "f16", "bf16", "f32"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A layer of d_model 256 and d_ff 512 with what a model has besides, as safetensors.
fn model(folder: &Path) -> PathBuf {
    let tensor = |shape: &[usize], k: usize| {
        let count: usize = shape.iter().product();
        HostTensor::new(shape, Element::F32, &(0..count).map(|i| ((i * k) as f32 * 0.71).sin() * 0.03).collect::<Vec<_>>()).unwrap()
    };
    let path = folder.join("model.safetensors");
    let tensors = [
        ("model.embed_tokens.weight", tensor(&[8, 256], 3)),
        ("model.layers.0.mlp.gate_proj.weight", tensor(&[512, 256], 1)),
        ("model.layers.0.mlp.up_proj.weight", tensor(&[512, 256], 2)),
        ("model.layers.0.mlp.down_proj.weight", tensor(&[256, 512], 5)),
        ("model.layers.0.odd.weight", tensor(&[4, 10], 7)),
        ("model.norm.weight", tensor(&[256], 11)),
    ];
    write_safetensors(&path, &tensors).unwrap();
    path
}

fn tensors(path: &Path) -> Tensors {
    read_gguf(path).unwrap().into()
}

#[test]
fn every_kind_out_of_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out, again, json) =
        (model(folder.path()), folder.path().join("out.gguf"), folder.path().join("again.gguf"), folder.path().join("q.json"));
    let exact = load_feed_forward(&source, 0).unwrap();
    for kind in KINDS {
        let encoding = Encoding::parse(kind).unwrap();
        // A file, a directory, and what was quantised before.
        for input in [source.as_path(), folder.path()] {
            let printed = succeed(&["quantize", text(input), text(&out), "--to", kind, "--json", text(&json)]);
            let printed = match printed {
                Ok(printed) => printed,
                Err(error) => {
                    assert!(kind == "f32" && error.contains("nothing to convert"), "{kind}: {error}");
                    continue;
                }
            };
            assert!(printed.contains("3 converted") && printed.contains("3 copied; all 6"), "{printed}");
            let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
            assert_eq!(report["schema"], "ffwd-quantize/1");
            let written = tensors(&out);
            for row in report["tensors"].as_array().unwrap() {
                let name = row["name"].as_str().unwrap();
                assert_eq!(written.encoding(name).unwrap().to_string(), row["to"].as_str().unwrap());
                let converted = name.contains("mlp");
                assert_eq!(written.encoding(name) == Some(&encoding), converted, "{name}");
                assert_eq!(row["relative_rms_error"].is_number(), converted, "{name}");
                // What is just below 8 becomes 6 in MXFP4.
                let most = if kind == "mxfp4" { 0.25 } else { 0.1 };
                assert!(!converted || row["relative_rms_error"].as_f64().unwrap() < most, "{row:#}");
            }
            assert_eq!(written.get("model.norm.weight").unwrap().shape, [256]);
            // The layer is the same within what the report says of it.
            let read = load_feed_forward(&out, 0).unwrap();
            for ((name, ours), (_, exact)) in read.matrices().iter().zip(exact.matrices()) {
                let largest = ours.to_f32().iter().zip(exact.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let said = report["tensors"].as_array().unwrap().iter().filter_map(|row| row["largest_error"].as_f64());
                let most = said.fold(0.0, f64::max);
                assert!(f64::from(largest) <= most, "{kind} {name}: {largest} beside {most}");
            }
        }
        if kind != "f32" {
            succeed(&["quantize", text(&out), text(&again), "--to", "f32"]).unwrap();
            for name in tensors(&out).names() {
                assert_eq!(tensors(&again).get(name).unwrap().to_f32(), tensors(&out).get(name).unwrap().to_f32(), "{kind} {name}");
            }
        }
    }
}

#[test]
fn all_converts_what_can_be_and_names_what_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (model(folder.path()), folder.path().join("out.gguf"));
    let printed = succeed(&["quantize", text(&source), text(&out), "--to", "q6_k", "--all"]).unwrap();
    assert!(printed.contains("4 converted"), "{printed}");
    assert!(printed.contains("model.layers.0.odd.weight [4, 10] stays F32: rows of 10 are not whole blocks of 256"), "{printed}");
    assert_eq!(tensors(&out).encoding("model.embed_tokens.weight"), Some(&Encoding::Blocks(Block::Q6_K)));
}

/// A real layer's blocks, as other blocks; its metadata and its other tensor stay.
#[test]
fn a_quantised_model_is_quantised_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/smollm2_layer0.gguf");
    let out = folder.path().join("out.gguf");
    let printed = succeed(&["quantize", text(&source), text(&out), "--to", "q8_0"]).unwrap();
    assert!(printed.contains("3 converted") && printed.contains("1 copied"), "{printed}");
    let (before, after) = (read_gguf(&source).unwrap(), read_gguf(&out).unwrap());
    for (key, value) in before.metadata() {
        assert_eq!(after.value(key), Some(value), "{key}");
    }
    assert_eq!(after.tensors().encoding("blk.0.ffn_down.weight"), Some(&Encoding::Blocks(Block::Q8_0)));
    let norm = "blk.0.ffn_norm.weight";
    assert_eq!(after.tensors().get(norm).unwrap(), before.tensors().get(norm).unwrap());
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let nan = HostTensor::new(&[2, 32], Element::F32, &[&[0.5; 40][..], &[f32::NAN], &[0.5; 23]].concat()).unwrap();
    write_safetensors(path("nan"), &[("w_gate", nan)]).unwrap();
    let plain = HostTensor::new(&[2, 33], Element::F32, &[0.5; 66]).unwrap();
    write_safetensors(path("odd"), &[("w_gate", plain.clone())]).unwrap();
    write_safetensors(path("none"), &[("attention", plain)]).unwrap();
    std::fs::write(path("text"), b"not a model").unwrap();
    std::fs::write(path("out"), b"precious").unwrap();
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    for (input, to, wanted) in [
        ("nan", "q4_0", &["nan", "w_gate", "NaN", "[1, 8]", "Q4_0"][..]),
        ("nan", "f16", &["NaN", "[1, 8]", "F16"]),
        ("odd", "q4_0", &["nothing to convert", "w_gate", "33", "32"]),
        ("none", "q4_0", &["nothing to convert", "--all"]),
        ("text", "q4_0", &["text", "neither"]),
        ("missing", "q4_0", &["cannot open", "missing"]),
        (".", "q4_0", &["model.safetensors"]),
    ] {
        let output = ffwd(&["quantize", text(&path(input)), text(&path("out")), "--to", to]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{input}: {stderr}");
        assert!(stderr.lines().count() == 1 && wanted.iter().all(|part| stderr.contains(part)), "{input}: {stderr}");
        assert_eq!(std::fs::read(path("out")).unwrap(), b"precious", "{input}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before, "{input}");
    }
    let model = data("quant.gguf");
    assert_eq!(ffwd(&["quantize", text(&model), text(&path("out")), "--to", "q3_k"]).status.code(), Some(2));
    let nowhere = path("none/out");
    assert_eq!(ffwd(&["quantize", text(&model), text(&nowhere), "--to", "q8_0"]).status.code(), Some(1));
}

/// Ctrl-C in the middle of a conversion that takes a while.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_what_was_there() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("in"), folder.path().join("out"));
    let values: Vec<f32> = (0..4096 * 8192).map(|i| (i as f32 * 0.37).sin()).collect();
    write_safetensors(&source, &[("w_gate", HostTensor::new(&[4096, 8192], Element::F16, &values).unwrap())]).unwrap();
    std::fs::write(&out, b"precious").unwrap();
    let args = ["quantize", text(&source), text(&out), "--to", "q4_k"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_ffwd")).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It is under way once its temporary file has something in it.
    let begun = || {
        let entries = std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".ffwd-"))
            .any(|entry| entry.metadata().is_ok_and(|m| m.len() > 0))
    };
    let start = Instant::now();
    while !begun() {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it never began");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("was not written"));
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
