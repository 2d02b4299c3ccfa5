//! `ffwd plan`: the numbers on the page and in the file.

use serde_json::Value;

use crate::support::{ffwd, succeed};

/// Llama 2 7B's layer from the dense one that it replaced.
#[test]
fn llama_2_follows_from_its_predecessor() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let page = succeed(&["plan", "--d-model", "4096", "--activation", "relu", "--json", file.to_str().unwrap()]).unwrap();
    for line in ["d_ff 16 384 11 008 11 008 16 384", "parameters 134 217 728 135 266 304", "function relu swiglu"] {
        let words: Vec<_> = page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(words.iter().any(|found| found.starts_with(line)), "{line}: {page}");
    }
    let layers: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let number = |layer: usize, path: &str| layers[layer].pointer(path).and_then(Value::as_u64).unwrap();
    assert_eq!(layers.as_array().unwrap().len(), 4);
    assert_eq!((number(0, "/d_ff"), number(1, "/d_ff"), number(3, "/d_ff")), (16384, 11008, 16384));
    assert_eq!(number(1, "/weight_bytes/Q4_0"), 135_266_304 / 32 * 18);
    assert_eq!(number(1, "/backward_flops_per_token/keep"), 4 * 135_266_304);
    assert_eq!(number(1, "/kept_elements_per_token/keep"), 4096 + 2 * 11008);
}

#[test]
fn one_rule_may_be_asked_for() {
    let args = ["plan", "--d-model", "4096", "--by", "flops", "--multiplier", "1.3", "--multiple-of", "1024", "--gate", "geglu"];
    let page = succeed(&args).unwrap();
    assert!(page.contains("equal flops") && !page.contains("equal width") && page.contains("14 336"), "{page}");
}

#[test]
fn sizes_that_no_layer_has_are_refused() {
    let cases = [
        (vec!["--d-model", "0"], "`d_model` is 0"),
        (vec!["--d-model", "8", "--d-ff", "999999999999"], "`d_ff` is 999999999999"),
        (vec!["--d-model", "8", "--multiplier", "nan"], "`multiplier` is NaN"),
        (vec!["--d-model", "8", "--multiple-of", "0"], "`multiple_of` is 0"),
        (vec!["--d-model", "8", "--activation", "gelo"], "nearest: gelu"),
        (vec!["--d-model", "8", "--gate", "swiglo"], "nearest: swiglu"),
    ];
    for (args, wanted) in cases {
        let output = ffwd(&[vec!["plan"], args].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(wanted) && error.lines().count() == 1, "{error}");
    }
}
