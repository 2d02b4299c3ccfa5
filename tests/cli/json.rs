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

#[test]
fn help_and_version() {
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = ffwd(args);
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}");
    }
}
