//! The cases of the native tests, in a browser.

use ffwd::Gpu;
use serde_json::{Value, json};
use web_time::Instant;

use crate::support::conformance::Case;

/// Checks every case whose name holds `filter`.
pub async fn run(gpu: &Gpu, filter: &str, mut progress: impl FnMut(usize, usize, &str)) -> Value {
    let cases: Vec<_> = Case::all().into_iter().map(|case| (case.to_string(), case)).filter(|(name, _)| name.contains(filter)).collect();
    let start = Instant::now();
    let mut failed = Vec::new();
    for (done, (name, case)) in cases.iter().enumerate() {
        progress(done, cases.len(), name);
        if let Err(fault) = case.check(gpu).await {
            failed.push(json!({ "case": name, "fault": fault }));
        }
    }
    json!({ "cases": cases.len(), "failed": failed, "seconds": start.elapsed().as_secs_f64() })
}
