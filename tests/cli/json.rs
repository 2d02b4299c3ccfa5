//! What programs read, and pictures.

use serde_json::Value;

use crate::support::{ffwd, succeed};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn devices() {
    let listed = parse(&succeed(&["devices", "--json"]).unwrap());
    let adapters = listed["adapters"].as_array().unwrap();
    let chosen = &adapters[usize::try_from(listed["chosen"].as_u64().unwrap()).unwrap()];
    assert!(chosen["limits"]["max_buffer_size"].as_u64().unwrap() > 0);
    assert!(chosen["features"]["SHADER_F16"].is_boolean());
    let index = chosen["index"].to_string();
    let again = parse(&succeed(&["devices", "--json", "--adapter", &index]).unwrap());
    assert_eq!(again["chosen"], listed["chosen"]);
    let text = succeed(&["devices"]).unwrap();
    assert!(text.contains(chosen["name"].as_str().unwrap()) && text.contains("chosen"), "{text}");
}

#[test]
fn demo() {
    let demo = parse(&succeed(&["demo", "--json"]).unwrap());
    assert_eq!(demo["passed"], true, "{demo:#}");
    assert_eq!(demo["layer"]["checks"].as_array().unwrap().len(), 3);
    let rows = demo["activations"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ffwd::Activation::all().count());
    assert!(rows.iter().all(|row| row["share_of_copy"].as_f64().unwrap() > 0.0));
}

#[test]
fn verify() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.json");
    for (flags, limits) in [(&[][..], "adapter"), (&["--default-limits"], "webgpu-default")] {
        let text = succeed(&[&["verify", "--filter", "softsign", "--json", file.to_str().unwrap()], flags].concat()).unwrap();
        assert!(text.contains("6 of 6 rows hold"), "{text}");
        let measured = parse(&std::fs::read_to_string(&file).unwrap());
        assert_eq!((&measured["schema"], &measured["version"]), (&"ffwd-verify/1".into(), &env!("CARGO_PKG_VERSION").into()));
        assert!(!measured["adapter"].as_str().unwrap().is_empty() && measured["driver"].is_string());
        assert_eq!(measured["limits"], limits);
        assert_eq!(measured["features"].as_array().unwrap().is_empty(), !flags.is_empty());
        assert_eq!((&measured["host"]["os"], &measured["passed"]), (&std::env::consts::OS.into(), &true.into()));
        let rows = measured["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 6);
        assert!(rows.iter().all(|row| row["breaches"] == 0 && row["max_ulp"].as_f64() <= row["allowed_ulp"].as_f64()));
    }
}

#[test]
fn plot() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (svg, png) = (path("p.svg"), path("p.png"));
    for file in [&svg, &png] {
        succeed(&["plot", "relu", "gelu", "silu", "-o", file, "--range", "-4,4"]).unwrap();
    }
    let text = std::fs::read_to_string(svg).unwrap();
    assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && text.contains(">gelu<") && !text.contains("NaN"));
    let image = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(png).unwrap())).read_info().unwrap();
    assert!(image.info().width > 1000);
}

/// The row of what `ffwd plot` prints: least and where, greatest and where.
fn reach(page: &str, function: &str, of: &str) -> [f64; 4] {
    let row = page.lines().filter_map(|line| line.trim().strip_prefix(function)?.trim().strip_prefix(of)).next().unwrap();
    let numbers: Vec<f64> = row.split_whitespace().map(|word| word.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn plot_says_how_far_curves_reach() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.svg");
    let plot = |args: &[&str]| succeed(&[&["plot"], args, &["-o", file.to_str().unwrap()]].concat()).unwrap();
    let page = plot(&["sigmoid", "gelu"]);
    assert_eq!(reach(&page, "sigmoid", "derivative")[2..], [0.25, 0.0]);
    // GELU's least value: -0.16997 at -0.7518.
    assert_eq!(reach(&page, "gelu", "value")[..2], [-0.17, -0.75]);
    // In a chain of three the slopes at 0, at 1/2 and at what follows multiply.
    let page = plot(&["sigmoid", "--times", "3", "--range", "0,1"]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let slope = |x: f64| sigmoid(x) * (1.0 - sigmoid(x));
    let (second, third) = (0.5, sigmoid(0.5));
    let [_, _, greatest, at] = reach(&page, "sigmoid \u{d7} 3", "derivative");
    assert!((greatest / (slope(0.0) * slope(second) * slope(third)) - 1.0).abs() < 1e-3 && at == 0.0, "{page}");
    let page = plot(&["relu", "gelu", "--errors"]);
    assert_eq!(reach(&page, "relu", "value, ULP"), [0.0, -6.0, 0.0, -6.0]);
    let worst = reach(&page, "gelu", "value, ULP")[2];
    assert!(worst > 1.0 && worst <= 4.0, "{page}");
}

#[test]
fn help_and_version() {
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = ffwd(args);
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}");
    }
}
