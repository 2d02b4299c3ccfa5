//! `ffwd tune`: what it chooses is kept, found again and used, and a spoilt file is no obstacle.

use std::path::Path;
use std::process::{Command, Output};

use ffwd::ops::Linear;
use ffwd::tuning::{Problem, Strategy, Tuning, shipped};
use ffwd::{Activation, Gpu};
use serde_json::Value;

const PROBLEM: Problem = Problem::new(3, 32, 64);
const SHAPE: &str = "3x32x64";

fn ffwd(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ffwd")).arg("tune").args(args).env("FFWD_CACHE_DIR", folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeed(folder: &Path, args: &[&str]) -> (String, String) {
    let output = ffwd(folder, args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The strategy that the file holds for [`PROBLEM`] on this adapter.
fn kept(gpu: &Gpu, path: &Path) -> Strategy {
    read(path)["adapters"][gpu.tuning_key()][PROBLEM.class()]["strategy"].as_str().unwrap().parse().unwrap()
}

#[test]
fn choices_are_kept_found_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, json) = (folder.path().join("tuning.json"), folder.path().join("out.json"));
    let (printed, warned) = succeed(folder.path(), &["--shape", SHAPE, "--json", json.to_str().unwrap()]);
    assert!(warned.is_empty(), "{warned}");
    let gpu = Gpu::open(&Default::default()).unwrap();
    let chosen = kept(&gpu, &path);
    assert!(printed.contains(&PROBLEM.class()) && printed.contains(path.to_str().unwrap()), "{printed}");
    let report = read(&json);
    let class = &report["classes"][0];
    assert_eq!((&class["class"], &class["chosen"]["strategy"]), (&PROBLEM.class().into(), &chosen.to_string().into()));
    let seconds: Vec<f64> = class["measured"].as_array().unwrap().iter().map(|of| of["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.len() > 1 && seconds.iter().all(|seconds| *seconds > 0.0), "{class:#}");
    assert_eq!(class["chosen"]["seconds"], seconds[0]);

    // Whatever the file says is used, even if nobody else would choose it.
    let capabilities = gpu.capabilities();
    let unlikely = PROBLEM.candidates(&capabilities).into_iter().find(|s| *s != shipped(&capabilities, &PROBLEM) && *s != chosen).unwrap();
    let edited = std::fs::read_to_string(&path).unwrap().replace(&format!("\"{chosen}\""), &format!("\"{unlikely}\""));
    std::fs::write(&path, edited).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (printed, _) = succeed(folder.path(), &["--shape", SHAPE, "--dry-run"]);
    assert!(printed.contains(&format!("remembered  {unlikely},")) && printed.contains("nothing was measured"), "{printed}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    gpu.set_tuning_file(Some(path.clone()));
    let strategy = |tuning| Linear::new(&gpu, Activation::Identity).with_tuning(tuning).strategy(&PROBLEM).unwrap();
    assert_eq!((strategy(Tuning::Cached), strategy(Tuning::Shipped)), (unlikely, shipped(&capabilities, &PROBLEM)));
}

#[test]
fn spoilt_files_are_warned_of_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    std::fs::write(&path, "{\"format\": ").unwrap();
    let (_, warned) = succeed(folder.path(), &["--shape", SHAPE]);
    assert_eq!(warned.lines().count(), 1, "{warned}");
    assert!(warned.starts_with("warning: ignoring") && warned.contains("tuning.json"), "{warned}");
    kept(&Gpu::open(&Default::default()).unwrap(), &path);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_after_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let output = ffwd(&file, &["--shape", SHAPE]);
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("error: cannot write") && error.contains("tuning.json"), "{error}");
    assert!(text(&output.stdout).contains(&PROBLEM.class()));
}

#[test]
fn what_is_skipped_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (printed, _) = succeed(folder.path(), &["--shape", "1x4x4000000000000", "--dry-run", "--max-seconds", "1e30"]);
    assert!(printed.contains("skipped") && printed.contains("1x4x4000000000000") && printed.contains("the adapter allows"), "{printed}");
    let (printed, _) = succeed(folder.path(), &["--filter", "product/4096", "--dry-run", "--max-seconds", "1e-9"]);
    assert!(printed.contains("product/4096x4096x4096/f32") && printed.contains("are allowed"), "{printed}");
    assert!(!folder.path().join("tuning.json").exists());
}

#[test]
fn odd_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, word) in [
        (&["--shape", "1x2"][..], "three sizes"),
        (&["--gated"], "--shape"),
        (&["--shape", SHAPE, "--quick"], "--quick"),
        (&["--dry-run", "--check"], "--check"),
        (&["--filter", "relu/"], "no workload"),
    ] {
        let output = ffwd(folder.path(), args);
        assert!(!output.status.success() && text(&output.stderr).contains(word), "{args:?}: {}", text(&output.stderr));
    }
}
