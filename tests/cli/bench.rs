//! `ffwd bench`: its JSON holds what the documentation says, and its numbers agree with each other.

use serde_json::Value;

use crate::support::{ffwd, succeed};

fn run(args: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.json");
    let text = succeed(&[&["bench", "--json", file.to_str().unwrap()], args].concat()).unwrap();
    let json = std::fs::read_to_string(&file).unwrap();
    (text, serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}")))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {value:#}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs()
}

#[test]
fn numbers_agree() {
    let (text, report) = run(&["--quick", "--filter", "smollm2-135m/1/"]);
    assert!(text.contains("GFLOP/s") && text.contains("swiglu/smollm2-135m/1/f16"), "{text}");
    let top = "schema version date quick adapter backend device_type driver driver_info software features limits host clock ceilings \
               workloads skipped";
    assert_eq!(keys(&report), top.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&report["schema"], &report["quick"]), (&"ffwd-bench/1".into(), &true.into()));
    assert!(report["clock"] == "wall" || report["clock"] == "timestamps");
    let date = report["date"].as_str().unwrap();
    assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
    assert!(number(&report["limits"], "max_buffer_size") > 0.0 && number(&report["host"], "threads") >= 1.0);

    let ceilings = &report["ceilings"];
    let (copy, flops) = (number(ceilings, "copy_bytes_per_second"), number(ceilings, "f32_flops_per_second"));
    assert!(number(ceilings, "upload_bytes_per_second") > 0.0 && number(ceilings, "download_bytes_per_second") > 0.0);
    assert!(keys(ceilings).contains(&"dispatch_seconds") && keys(ceilings).contains(&"cooperative_flops_per_second"));

    let workloads = report["workloads"].as_array().unwrap();
    assert_eq!((workloads.len(), report["skipped"].as_array().unwrap().len()), (2, 0));
    for (workload, size) in workloads.iter().zip([4.0, 2.0]) {
        let expected = "group name shape element kernels flops bytes worst_error seconds gflops gbytes share bound";
        assert_eq!(keys(workload), expected.split(' ').collect::<Vec<_>>());
        assert_eq!(workload["group"], "decode");
        let seconds = &workload["seconds"];
        assert_eq!(keys(seconds), ["median", "min", "p10", "p90", "runs"]);
        let [min, p10, median, p90] = ["min", "p10", "median", "p90"].map(|key| number(seconds, key));
        assert!(0.0 < min && min <= p10 && p10 <= median && median <= p90 && number(seconds, "runs") >= 3.0, "{seconds}");
        let (work, bytes) = (number(workload, "flops"), number(workload, "bytes"));
        assert_eq!(work, 2.0 * 3.0 * 576.0 * 1536.0);
        assert_eq!(bytes, size * (3.0 * 576.0 * 1536.0 + 2.0 * 576.0));
        assert!(close(number(workload, "gflops"), work / median / 1e9) && close(number(workload, "gbytes"), bytes / median / 1e9));
        let (compute, memory) = (work / flops, bytes / copy);
        // A cooperative rate would lift the roof of f16.
        if ceilings["cooperative_flops_per_second"].is_null() {
            assert!(close(number(workload, "share"), compute.max(memory) / median), "{workload:#}");
            assert_eq!(workload["bound"], if memory >= compute { "memory" } else { "compute" });
        }
        assert!((0.0..=1.0).contains(&number(workload, "worst_error")));
        assert!(workload["kernels"].as_array().unwrap().iter().all(|kernel| kernel.as_str().unwrap().starts_with("matmul/")));
    }
}

#[test]
fn what_is_skipped_is_named() {
    let (text, report) = run(&["--filter", "product/", "--max-seconds", "1e-9"]);
    assert_eq!(report["workloads"].as_array().unwrap().len(), 0);
    let skipped = report["skipped"].as_array().unwrap();
    let names: Vec<_> = skipped.iter().map(|skipped| skipped["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"product/4096x4096x4096/f32") && names.iter().all(|name| text.contains(name)), "{text}");
    assert!(skipped.iter().all(|skipped| skipped["reason"].as_str().unwrap().contains("allowed")));
}

#[test]
fn unknown_filters_and_odd_limits_are_refused() {
    for (args, word) in
        [(&["bench", "--filter", "no such"][..], "no such"), (&["bench", "--quick", "--filter", "mixtral"], "without --quick")]
    {
        let output = ffwd(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(word), "{error}");
    }
}
