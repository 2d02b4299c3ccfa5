//! The tuner: what it measures, and what it makes of measurements that it finds.

mod support;

use ffwd::Activation;
use ffwd::Element::{Bf16, F16, F32};
use ffwd::ops::{Linear, tune};
use ffwd::shader::matmul::{Loop, Total};
use ffwd::tuning::{Problem, Strategy, shipped};
use support::devices;
use support::product::small;

/// Every candidate computes the same whole numbers and is timed; the first is chosen and remembered. That it is the fastest
/// is for `ffwd tune --check` to say, on a quiet machine.
#[test]
fn candidates_agree() {
    let [full, least] = devices().each_ref().map(|device| &device.gpu);
    let problems = [
        (least, Problem { transposed: [true, true], b: Bf16.into(), out: F16, ..Problem::new(7, 68, 64) }),
        (full, Problem { gated: true, a: F16, ..Problem::new(1, 36, 65) }),
    ];
    for (gpu, problem) in problems {
        gpu.set_tuning_file(None);
        let (mut heard, mut candidates) = (Vec::new(), problem.candidates(&gpu.capabilities()));
        let tuned = tune(gpu, &problem, &mut |strategy| heard.push(strategy)).unwrap();
        for strategies in [&mut heard, &mut candidates] {
            strategies.sort_by_key(ToString::to_string);
        }
        assert_eq!(heard, candidates);
        assert_eq!(tuned.chosen, tuned.measured[0].0);
        assert!(tuned.measured.iter().all(|(strategy, seconds)| candidates.contains(strategy) && *seconds > 0.0));
        let cached = if problem.gated { Linear::gated(gpu, ffwd::Gate::OAI) } else { Linear::new(gpu, Activation::Relu) };
        assert_eq!(cached.strategy(&problem).unwrap(), tuned.chosen);
    }
}

/// A choice that was measured elsewhere, by hand or by an older version is no reason to fail.
#[test]
fn cached_choices_that_cannot_be_had_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let gpu = small(1 << 20, 8);
    let problem = Problem::new(3, 8, 64);
    let chosen = |gated: bool, name: &str, problem: &Problem| {
        let (class, key) = (problem.class(), gpu.tuning_key());
        let file = serde_json::json!({ "format": "ffwd-tuning/1", "adapters": { key: { class: { "strategy": name, "seconds": 1e-9 } } } });
        std::fs::write(&path, file.to_string()).unwrap();
        gpu.set_tuning_file(Some(path.clone()));
        let linear = if gated { Linear::gated(&gpu, ffwd::Gate::OAI) } else { Linear::new(&gpu, Activation::Relu) };
        linear.strategy(problem).unwrap()
    };
    let default = shipped(&gpu.capabilities(), &problem);
    assert_ne!(default, Strategy::of(Loop::Dot(2, Total::Tree)));
    assert_eq!(chosen(false, "dot-2", &problem), Strategy::of(Loop::Dot(2, Total::Tree)));
    for name in ["broadcast-4", "dot-2-subgroup-64", "direct-8/split-16", "unfused/direct-4", "sum", "direct-0", "direct-4/split-0", ""] {
        assert_eq!(chosen(false, name, &problem), default, "{name}");
    }
    let gated = Problem { gated: true, ..problem };
    let default = shipped(&gpu.capabilities(), &gated);
    assert_eq!(chosen(true, "unfused/direct-4", &gated), Strategy { fused: false, ..Strategy::of(Loop::Direct(4)) });
    for (out, name) in [(F32, "direct-4/split-2"), (F16, "unfused/direct-4"), (F32, "broadcast-4")] {
        assert_eq!(chosen(true, name, &Problem { out, ..gated }), default, "{name}");
    }
}
