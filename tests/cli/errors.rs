//! Bad input: one clear line, exit code 1, and everything as it was.

use std::path::{Path, PathBuf};

use safetensors::Dtype;
use tempfile::TempDir;

use crate::support::{Raw, ffwd, read, write};

/// A folder with some good and bad inputs.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let numbers: Vec<f32> = (0..16).map(|i| i as f32 - 8.0).collect();
        let x = Raw::f32(&[2, 8], &numbers);
        let half = Raw::f32(&[2, 4], &numbers[..8]);
        let integers = Raw::new(Dtype::I32, &[2, 8], vec![0; 64]);
        let f16 = Raw::new(Dtype::F16, &[2, 8], vec![0; 32]);
        let three = Raw::f32(&[3], &[0.1, 0.2, 0.3]);
        bench.put("x", &[("x", &x), ("dy", &x)]);
        bench.put("alone", &[("x", &x)]);
        bench.put("integers", &[("x", &integers)]);
        bench.put("short_dy", &[("x", &x), ("dy", &half)]);
        bench.put("half_dy", &[("x", &x), ("dy", &f16)]);
        bench.put("gates", &[("gate", &x), ("up", &half)]);
        bench.put("odd", &[("x", &three)]);
        bench.put("slopes", &[("x", &x), ("slope", &three)]);
        bench.put("model", &[("w1", &Raw::f32(&[4, 8], &[0.5; 32])), ("w2", &Raw::f32(&[8, 4], &[0.5; 32]))]);
        bench.put("no_w2", &[("w1", &Raw::f32(&[4, 8], &[0.5; 32]))]);
        let whole = std::fs::read(bench.path("x")).unwrap();
        std::fs::write(bench.path("truncated"), &whole[..whole.len() - 5]).unwrap();
        let mut lying = whole.clone();
        lying[0] = 0xff;
        lying[3] = 0x7f;
        std::fs::write(bench.path("lying"), lying).unwrap();
        std::fs::write(bench.path("gguf"), b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0\0").unwrap();
        std::fs::create_dir(bench.path("folder")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, tensors: &[(&str, &Raw)]) {
        write(&self.path(name), tensors);
    }

    /// Runs with `{name}` standing for paths, and checks that it fails with one line that holds `wanted`, and writes nothing.
    fn fails(&self, command: &str, wanted: &[&str]) {
        let before = entries(self.0.path());
        let expand = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        };
        let args: Vec<String> = command.split_whitespace().map(expand).collect();
        let output = ffwd(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        let lines: Vec<_> = stderr.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{command}: {stderr}");
        for part in wanted {
            assert!(lines[0].contains(part), "{command}: {stderr} lacks {part}");
        }
        assert_eq!(output.stdout, b"", "{command}");
        assert_eq!(entries(self.0.path()), before, "{command}");
    }
}

fn entries(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect();
    entries.sort();
    entries
}

#[test]
fn bad_input_is_one_clear_line() {
    let bench = Bench::new();
    for (command, wanted) in [
        ("run silu --input @none --output @y", &["cannot open", "none"][..]),
        ("run silu --input @truncated --output @y", &["truncated", "describes", "bytes"]),
        ("run silu --input @lying --output @y", &["lying"]),
        ("run silu --input @folder --output @y", &["folder", "not a regular file"]),
        ("run silu --input @integers --output @y", &["\"x\"", "I32"]),
        ("run silu --input @gates --output @y", &["`up`", "[2, 4]", "[2, 8]"]),
        ("run swiglu --input @odd --output @y", &["`x`", "even", "[3]"]),
        ("run swiglu --layout separate --input @alone --output @y", &["\"gate\""]),
        ("run gelu --input @model --output @y", &["\"x\"", "w1"]),
        ("run silu --backward --input @alone --output @y", &["\"dy\""]),
        ("run silu --backward --input @short_dy --output @y", &["`dy`", "[2, 4]", "[2, 8]"]),
        ("run silu --backward --input @half_dy --output @y", &["`dy`", "f16", "f32"]),
        ("run gellu --input @x --output @y", &["unknown op `gellu`", "nearest", "gelu", "geglu"]),
        ("run elu --param beta=1 --input @x --output @y", &["`elu` has no parameter `beta`", "alpha"]),
        ("run relu --param slope=1 --input @x --output @y", &["`relu` has no parameter `slope`", "none"]),
        ("run swiglu_oai --param beta=1 --input @x --output @y", &["`beta`", "alpha", "limit"]),
        ("run elu --param alpha=big --input @x --output @y", &["`alpha` is `big`", "number"]),
        ("run elu --param alpha=nan --input @x --output @y", &["alpha", "not a number"]),
        ("run softplus --param beta=0 --input @x --output @y", &["beta", "infinite"]),
        ("run rational --param order=[4,5] --input @x --output @y", &["`order`", "[5,4]"]),
        ("run rational --param version=A --input @x --output @y", &["`version`", "B"]),
        ("run rational --param numerator=[1,2] --input @x --output @y", &["`numerator`", "list of 6 numbers"]),
        ("run prelu --input @slopes --output @y", &["`parameters`", "[1, 3]", "8"]),
        ("run prelu --param channels=8 --input @slopes --output @y", &["`slope` has 3 channels", "8"]),
        ("run prelu --param channels=8 --input @x --output @y", &["channels=8", "`slope`"]),
        ("run silu --input @x --output @none/y", &["cannot write", "none"]),
        ("run silu --input @x --output @folder", &["cannot write", "folder", "directory"]),
        ("ffn --model @model --input @x --output @none/y", &["cannot write", "none"]),
        ("ffn --model @no_w2 --input @x --output @y", &["w2"]),
        ("ffn --model @folder --input @x --output @y", &["folder", "model.safetensors"]),
        ("ffn --model @gguf --input @x --output @y", &["gguf", "claimed"]),
        ("ffn --model @truncated --input @x --output @y", &["truncated"]),
        ("ffn --model @model --input @alone --output @y --backward", &["dy"]),
        ("ffn --model @model --input @short_dy --output @y --backward", &["dy", "[2, 4]", "[2, 8]"]),
        ("ffn --model @model --layer 3 --input @x --output @y", &["layer 3"]),
        ("ffn --model @model --input @odd --output @y", &["[3]", "8"]),
        ("ffn --model @model --input @integers --output @y", &["\"x\"", "I32"]),
        ("ffn --model @model --activation swigul --input @x --output @y", &["swigul", "nearest"]),
        ("verify --filter nothing_of_this_name", &["nothing_of_this_name"]),
        ("verify --filter relu --json @none/v.json", &["cannot write", "none"]),
        ("plot gellu -o @p.svg", &["gellu", "gelu"]),
        ("plot gelu -o @p.jpeg", &["p.jpeg", ".svg", ".png"]),
        ("plot gelu -o @none/p.svg", &["cannot write", "none"]),
    ] {
        bench.fails(command, wanted);
    }
}

#[test]
fn no_adapter_is_an_error_that_lists_what_there_is() {
    let bench = Bench::new();
    for command in
        ["run silu --input @x --output @y", "ffn --model @model --input @x --output @y", "plot gelu -o @p.svg", "devices", "demo", "verify"]
    {
        bench.fails(&format!("{command} --adapter nonexistent"), &["no GPU adapter", "`nonexistent`", "available"]);
        bench.fails(&format!("{command} --adapter 4711"), &["no GPU adapter", "`4711`", "available"]);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [
        &["run", "silu"][..],
        &["run", "silu", "--input", "a", "--output", "b", "--param", "no-equals"],
        &["run", "silu", "--input", "a", "--output", "b", "--layout", "diagonal"],
        &["ffn", "--model", "m", "--input", "a", "--output", "b", "--element", "f64"],
        &["plot", "-o", "p.svg"],
        &["plot", "gelu", "-o", "p.svg", "--range", "3,3"],
        &["devices", "--backend", "cuda"],
        &["nonsense"],
        &[],
    ] {
        let output = ffwd(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_output_that_is_there_is_replaced_whole_or_kept() {
    let bench = Bench::new();
    std::fs::write(bench.path("y"), b"precious").unwrap();
    bench.fails("run silu --backward --input @short_dy --output @y", &["`dy`"]);
    assert_eq!(std::fs::read(bench.path("y")).unwrap(), b"precious");
    let (input, output) = (bench.path("x"), bench.path("y"));
    let run = ffwd(&["run", "silu", "--backward", "--input", input.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    assert!(run.status.success());
    assert_eq!(read(&output).keys().collect::<Vec<_>>(), ["dx", "y"]);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    use std::process::{Command, Stdio};
    for args in [&["devices"][..], &["verify", "--filter", "softsign"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ffwd")).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("panic") && !stderr.contains("Broken"), "{args:?}: {stderr}");
    }
}
