//! Reports: what is read, what is refused, and that the page holds every number and nothing else's markup.

#[path = "report/xml.rs"]
mod xml;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ffwd::report::{ReportError, Run, page};
use serde_json::{Value, json};
use xml::Element;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report").join(name)
}

fn value(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

fn parse(value: &Value) -> Result<Run, ReportError> {
    Run::parse(Path::new("made.json"), value.to_string().as_bytes())
}

fn both() -> Vec<Run> {
    ["card.json", "software.json"].map(|name| Run::read(&data(name)).unwrap()).to_vec()
}

/// The page, which must be well formed.
fn parsed(runs: &[Run]) -> Element {
    let text = page(runs);
    xml::parse(text.strip_prefix("<!DOCTYPE html>").unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn ffwd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ffwd")).arg("report").args(args).output().expect("the binary runs")
}

#[test]
fn files_are_read_as_they_are() {
    let [card, software] = &both()[..] else { panic!("two") };
    assert_eq!((&*card.adapter, card.clock, card.quick, card.limits.subgroups), ("Example Card 9000", "timestamps", false, (32, 32)));
    assert_eq!((software.clock, software.quick, software.software, software.host.threads), ("wall", true, true, 2));
    assert_eq!((software.ceilings.cooperative, software.ceilings.download, software.ceilings.upload), (None, None, Some(3e9)));
    assert_eq!((card.workloads.len(), software.workloads.len(), software.skipped.len()), (6, 5, 2));
    let decode = card.workloads.iter().find(|workload| workload.name == "swiglu/llama-3-8b/1").unwrap();
    assert_eq!(decode.shape, [("tokens".to_owned(), 1), ("d_model".to_owned(), 4096), ("d_ff".to_owned(), 14336)]);
    assert_eq!((decode.seconds.median, decode.seconds.runs, decode.bound, &*decode.element), (9e-4, 9, Some("memory"), "f16"));
    let mut more = value("card.json");
    (more["mood"], more["workloads"][0]["colour"]) = (json!("sunny"), json!([1, 2]));
    let mut more = parse(&more).unwrap();
    more.file = card.file.clone();
    assert_eq!(more, *card, "unknown fields are ignored");
}

#[test]
fn roofs_bend_where_memory_feeds_the_units() {
    let [card, software] = &both()[..] else { panic!("two") };
    // 5e11 bytes and 2e13 operations a second: the bend is at 40 operations per byte.
    assert_eq!([0.5, 40.0, 400.0].map(|intensity| card.ceilings.roof(intensity)), [Some(2.5e11), Some(2e13), Some(2e13)]);
    assert_eq!([40.0, 400.0].map(|intensity| card.ceilings.cooperative_roof(intensity)), [Some(2e13), Some(1e14)]);
    assert_eq!((software.ceilings.roof(2.0), software.ceilings.cooperative_roof(2.0)), (Some(2.5e10), None));
    for workload in card.workloads.iter().filter(|workload| workload.flops > 0.0) {
        let share = workload.gflops * 1e9 / card.ceilings.roof(workload.intensity()).unwrap();
        assert!((share - workload.share.unwrap()).abs() < 1e-3, "{}: {share}", workload.name);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 22] = [
        (|v| v["schema"] = json!("ffwd-bench/2"), "the schema is \"ffwd-bench/2\"; \"ffwd-bench/1\" is read"),
        (|v| drop(v.as_object_mut().unwrap().remove("schema")), "schema is missing"),
        (|v| drop(v["ceilings"].as_object_mut().unwrap().remove("f32_flops_per_second")), "ceilings.f32_flops_per_second is missing"),
        (|v| drop(v["workloads"][3]["seconds"].as_object_mut().unwrap().remove("p10")), "workloads[3].seconds.p10 is missing"),
        (|v| drop(v["skipped"][0].as_object_mut().unwrap().remove("reason")), "skipped[0].reason is missing"),
        (|v| v["limits"]["subgroup_min_size"] = json!(null), "limits.subgroup_min_size should be a whole number from 0 on, and is null"),
        (|v| v["workloads"] = json!({}), "workloads should be an array, and is an object"),
        (|v| v["workloads"][1] = json!([]), "workloads[1] should be an object, and is an array"),
        (|v| v["clock"] = json!("sundial"), "clock should be \"wall\" or \"timestamps\", and is \"sundial\""),
        (|v| v["quick"] = json!(1), "quick should be true or false, and is 1"),
        (|v| v["workloads"][0]["gflops"] = json!("NaN"), "workloads[0].gflops should be a number, and is \"NaN\""),
        (|v| v["workloads"][0]["seconds"]["median"] = json!(-1e-3), "workloads[0].seconds.median is -1e-3, and can be 1e-12 to 1e6"),
        (|v| v["workloads"][0]["seconds"]["median"] = json!(0), "workloads[0].seconds.median is 0e0"),
        (|v| v["workloads"][0]["bytes"] = json!(1e300), "workloads[0].bytes is 1e300"),
        (|v| v["workloads"][0]["worst_error"] = json!(1.5), "workloads[0].worst_error is 1.5e0, and can be 0e0 to 1e0"),
        (|v| v["ceilings"]["copy_bytes_per_second"] = json!(0.0), "ceilings.copy_bytes_per_second is 0e0"),
        (|v| v["workloads"][0]["seconds"]["p10"] = json!(0.5), "workloads[0].seconds.p10 is 5e-1, which contradicts median of 7.5e-5"),
        (|v| v["workloads"][0]["seconds"]["runs"] = json!(0), "workloads[0].seconds.runs is 0e0"),
        (|v| v["workloads"][0]["gbytes"] = json!(0.4), "workloads[0].gbytes is 4e-1, which contradicts work / seconds.median of 4.47"),
        (|v| v["workloads"][1]["name"] = v["workloads"][0]["name"].clone(), "the workload \"silu/f32/4194304\" comes twice"),
        (|v| v["skipped"][0]["name"] = v["workloads"][0]["name"].clone(), "the workload \"silu/f32/4194304\" comes twice"),
        (|v| v["workloads"][0]["shape"]["\u{1b}[31m"] = json!("x"), "workloads[0].shape.\\u{1b}[31m should be a whole number"),
    ];
    for (change, wanted) in cases {
        let mut made = value("card.json");
        change(&mut made);
        let error = parse(&made).unwrap_err().to_string();
        assert!(error.starts_with("made.json: ") && error.contains(wanted), "{error:?} lacks {wanted:?}");
    }
    for (text, wanted) in [
        ("", "not JSON"),
        ("{\"schema\": NaN}", "not JSON"),
        ("{\"schema\": 1e999}", "not JSON"),
        ("[]", "the whole file should be an object, and is an array"),
    ] {
        let error = Run::parse(Path::new("made.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    assert!(matches!(Run::parse(Path::new("f"), b"\xff\xfe"), Err(ReportError::NotJson { .. })));
    assert!(matches!(Run::read(&data("nothing.json")), Err(ReportError::Io { .. })));
}

/// The cells of the tables of numbers, row by row.
fn rows(page: &Element) -> Vec<Vec<String>> {
    let tables = page.all("table").into_iter().filter(|table| table.attribute("class") == Some("numbers"));
    let rows = tables.flat_map(|table| table.all("tbody")).flat_map(|body| body.all("tr"));
    rows.map(|row| row.children.iter().map(|cell| cell.text()).collect()).collect()
}

#[test]
fn every_workload_stands_beside_its_numbers() {
    let rows = rows(&parsed(&both()));
    assert_eq!(rows.len(), 6);
    let row = |name: &str| rows.iter().find(|row| row[0].contains(name)).unwrap_or_else(|| panic!("{name}"));
    let cells =
        |name: &str| row(name)[1..].iter().map(|cell| cell.replace('\n', "").replace(['\u{a0}', '\u{202f}'], " ")).collect::<Vec<_>>();
    assert_eq!(
        cells("silu/f32/4194304"),
        ["75.0 µs73.5 to 82.5 µs", "280", "447", "89 %memory", "3.40 ms3.33 to 3.74 ms", "6.17", "9.87", "79 %memory"]
    );
    assert_eq!(cells("matmul/1024x1024x1024")[..4], ["160 µs157 to 176 µs", "13 422", "78.6", "67 %compute"]);
    assert_eq!(cells("swiglu/llama-3-8b/512")[4..], ["skipped: would take 9 s a run"]);
    assert!(row("swiglu/llama-3-8b/1")[0].contains("tokens 1 · d_model 4096 · d_ff 14\u{202f}336 · f16"));
    for run in both() {
        for workload in &run.workloads {
            assert!(row(&workload.name)[0].contains(&workload.element), "{}", workload.name);
        }
    }
    let text = parsed(&both()).text();
    assert!(text.contains("Measured nowhere") && text.contains("needs 5.2 GB, the adapter allows 0.13 GB"));
}

#[test]
fn the_same_name_is_not_the_same_workload() {
    let mut other = value("card.json");
    other["workloads"][0]["element"] = json!("bf16");
    other["workloads"].as_array_mut().unwrap().pop();
    let rows = rows(&parsed(&[both().remove(0), parse(&other).unwrap()]));
    let silu: Vec<_> = rows.iter().filter(|row| row[0].contains("silu/f32")).collect();
    assert_eq!((silu.len(), &*silu[0][5], &*silu[1][1]), (2, "not in this file", "not in this file"));
    let prefill = rows.iter().find(|row| row[0].contains("llama-3-8b/512")).unwrap();
    assert_eq!(prefill[5], "not in this file");
}

/// What heads the columns of the table of facts.
fn labels(runs: &[Run]) -> Vec<String> {
    let page = parsed(runs);
    page.all("table")[0].all("thead")[0].all("th")[1..].iter().map(|cell| cell.text()).collect()
}

#[test]
fn runs_of_one_adapter_are_told_apart() {
    let first = value("card.json");
    let with = |name: &str, text: &str| {
        let mut other = first.clone();
        other[name] = json!(text);
        parse(&other).unwrap()
    };
    let first = parse(&first).unwrap();
    let later = with("date", "2026-02-03T00:00:00Z");
    assert_eq!(
        labels(&[first.clone(), later.clone()]),
        ["AExample Card 9000, 2026-01-02T03:04:05Z", "BExample Card 9000, 2026-02-03T00:00:00Z"]
    );
    assert_eq!(labels(&[first.clone(), with("version", "0.2.0")])[1], "BExample Card 9000, ffwd 0.2.0");
    assert_eq!(labels(&[first.clone(), with("driver_info", "13")])[0], "AExample Card 9000, Example driver 12.3");
    assert_eq!(labels(&[first.clone(), with("adapter", "Another")]), ["AExample Card 9000", "BAnother"]);
    let copied = Run::parse(Path::new("copy.json"), value("card.json").to_string().as_bytes()).unwrap();
    assert_eq!(labels(&[first, copied])[1], "BExample Card 9000, copy.json");
}

#[test]
fn nothing_in_a_file_becomes_markup() {
    const EVIL: &str = "</title></style><script>alert('1')</script><img src=x onerror=\"a\">&lt;\u{0}\u{1b}\u{202e}";
    fn poison(value: &mut Value, depth: usize) {
        match value {
            Value::String(text) if depth != 1 => *text = format!("{text}{EVIL}"),
            Value::Array(items) => items.iter_mut().for_each(|item| poison(item, depth + 1)),
            Value::Object(fields) => fields.values_mut().for_each(|field| poison(field, depth + 2)),
            _ => {}
        }
    }
    let mut hostile = value("card.json");
    for name in ["version", "date", "adapter", "backend", "device_type", "driver", "driver_info", "features", "skipped", "host"] {
        poison(&mut hostile[name], 0);
    }
    for workload in hostile["workloads"].as_array_mut().unwrap() {
        ["group", "name", "element", "kernels"].into_iter().for_each(|name| poison(&mut workload[name], 0));
        workload["shape"][EVIL] = json!(3);
    }
    let hostile = parse(&hostile).unwrap();
    let calm = both().remove(0);
    let names = |page: &Element| page.everything().iter().map(|element| element.name.clone()).collect::<Vec<_>>();
    let (evil, good) = (parsed(std::slice::from_ref(&hostile)), parsed(std::slice::from_ref(&calm)));
    let only =
        |names: Vec<String>| names.into_iter().filter(|name| name != "small" && name != "text" && name != "line").collect::<Vec<_>>();
    assert_eq!(only(names(&evil)), only(names(&good)), "the same elements in the same order");
    assert!(evil.everything().iter().all(|element| element.attributes.iter().all(|(name, _)| !name.starts_with("on"))));
    assert!(evil.text().contains("<script>alert('1')</script>"), "the text is there, as text");
    let text = page(&[hostile]);
    assert!(!text.contains(['\u{0}', '\u{1b}', '\u{202e}']) && !text.contains("<script") && !text.contains("<img"));
}

#[test]
fn the_page_needs_nothing_else() {
    let page = parsed(&both());
    for element in page.everything() {
        assert!(!["script", "link", "img", "iframe", "object"].contains(&&*element.name), "{}", element.name);
        assert!(element.attributes.iter().all(|(name, _)| !["src", "href", "style"].contains(&&**name)), "{}", element.name);
    }
    let sheets: String = page.all("style").iter().map(|sheet| sheet.text()).collect();
    assert!(!sheets.contains("url(") && !sheets.contains("@import") && sheets.contains("prefers-color-scheme: dark"));
    for table in page.all("table") {
        assert!(table.all("th").iter().all(|cell| cell.attribute("scope").is_some()));
    }
    let document = ffwd::report::page(&both());
    assert_eq!(document, ffwd::report::page(&both()), "the same runs make the same page");
}

/// Numbers of an attribute such as `points` or `transform`.
fn numbers(text: &str) -> Vec<f64> {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
    parts.filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

#[test]
fn points_and_roofs_stand_where_they_should() {
    let runs = both();
    let page = parsed(&runs);
    let plots: Vec<_> = page.all("svg").into_iter().filter(|svg| svg.attribute("role") == Some("img")).collect();
    assert_eq!(plots.len(), 2, "a wide one and a narrow one");
    for plot in plots {
        let groups =
            |class: &str| plot.all("g").into_iter().filter(|g| g.attribute("class").unwrap().starts_with(class)).collect::<Vec<_>>();
        let roofs: Vec<Vec<f64>> = groups("roof").iter().map(|g| numbers(g.all("polyline")[0].attribute("points").unwrap())).collect();
        assert_eq!(roofs.len(), 3, "f32 and cooperative, and f32 alone");
        // Two bends give both scales: 40 at 2e4 GFLOP/s, and 8 at 100 GFLOP/s.
        let ([x0, y0], [x1, y1]) = ([roofs[0][2], roofs[0][3]], [roofs[2][2], roofs[2][3]]);
        let x = |intensity: f64| x0 + (x1 - x0) * (intensity / 40.0).ln() / (8.0f64 / 40.0).ln();
        let y = |gflops: f64| y0 + (y1 - y0) * (gflops / 2e4).ln() / (100.0f64 / 2e4).ln();
        assert!((roofs[1][2] - x(200.0)).abs() < 0.5 && (roofs[1][3] - y(1e5)).abs() < 0.5, "the cooperative bend: {roofs:?}");
        assert!(roofs.iter().all(|roof| (roof[3] - roof[5]).abs() < 1e-9 && roof[1] > roof[3]), "up, then level");
        let points = groups("point");
        let expected: Vec<_> = runs.iter().flat_map(|run| &run.workloads).filter(|workload| workload.flops > 0.0).collect();
        assert_eq!(points.len(), expected.len());
        for point in points {
            let (title, at) = (point.all("title")[0].text(), numbers(point.attribute("transform").unwrap()));
            let near = |w: &&&ffwd::report::Workload| (at[0] - x(w.intensity())).abs() < 0.5 && (at[1] - y(w.gflops)).abs() < 0.5;
            assert!(expected.iter().find(near).is_some_and(|workload| title.contains(&workload.name)), "{title} at {at:?}");
        }
    }
}

#[test]
fn the_command_writes_the_page_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("report.html");
    let (card, software, to) = (data("card.json"), data("software.json"), output.to_str().unwrap());
    let done = ffwd(&[card.to_str().unwrap(), software.to_str().unwrap(), "-o", to]);
    assert_eq!(String::from_utf8(done.stdout).unwrap(), format!("2 adapters, 6 workloads, 3 skipped, written to {to}\n"));
    let written = std::fs::read_to_string(&output).unwrap();
    assert!(done.status.success() && written == page(&both()));
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, "{}").unwrap();
    let failed = ffwd(&[card.to_str().unwrap(), bad.to_str().unwrap(), "-o", to]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(String::from_utf8(failed.stderr).unwrap(), format!("error: {}: schema is missing\n", bad.display()));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), written, "what was there stays");
    assert_eq!(ffwd(&["-o", to]).status.code(), Some(2), "no files");
}

#[test]
fn extremes_still_make_a_page() {
    let mut empty = value("card.json");
    (empty["workloads"], empty["skipped"], empty["adapter"]) = (json!([]), json!([]), json!(" "));
    for name in ["copy_bytes_per_second", "f32_flops_per_second", "cooperative_flops_per_second", "dispatch_seconds"] {
        empty["ceilings"][name] = json!(null);
    }
    let empty = parse(&empty).unwrap();
    assert!(parsed(std::slice::from_ref(&empty)).text().contains("unnamed adapter"));
    assert!(parsed(&[]).text().contains("0 workloads"));
    let mut far = value("card.json");
    let extremes = [(1e-6, 1.0, 1e-12), (1e20, 1e24, 1e5), (1e20, 1.0, 1e6), (1e-6, 1e24, 1e6), (0.0, 1.0, 1.0), (1.0, 1e24, 1e5)];
    for (workload, (flops, bytes, seconds)) in far["workloads"].as_array_mut().unwrap().iter_mut().zip(extremes) {
        (workload["flops"], workload["bytes"]) = (json!(flops), json!(bytes));
        workload["seconds"] = json!({"median": seconds, "min": seconds, "p10": seconds, "p90": seconds, "runs": 1});
        (workload["gflops"], workload["gbytes"]) = (json!(flops / seconds * 1e-9), json!(bytes / seconds * 1e-9));
        (workload["share"], workload["bound"]) = (json!(null), json!(null));
    }
    let far = parse(&far).unwrap();
    let page = parsed(std::slice::from_ref(&far));
    assert!(page.text().contains("no roof"));
    let attributes = page.everything().into_iter().flat_map(|element| &element.attributes);
    let bad = attributes.filter(|(name, _)| name != "content").find(|(_, value)| value.contains("NaN") || value.contains("inf"));
    assert_eq!(bad, None);
    let many: Vec<_> = (0..30).map(|_| both().remove(0)).collect();
    assert_eq!(labels(&many).len(), 30);
}
