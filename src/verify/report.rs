//! What was measured, for programs.

use serde_json::{Value, json};

use super::Row;
use crate::date;
use crate::gpu::{Gpu, is_software};

/// What was measured, and on what.
#[derive(Debug, Clone)]
pub struct Report {
    /// When: RFC 3339, UTC.
    pub date: String,
    /// The adapter.
    pub adapter: wgpu::AdapterInfo,
    /// Features of the device.
    pub features: wgpu::Features,
    /// Limits of the device.
    pub limits: wgpu::Limits,
    /// The operating system; a page may put its browser here.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// What was measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// What was measured on this device just now.
    pub fn new(gpu: &Gpu, rows: Vec<Row>) -> Self {
        Self {
            date: date::now(),
            adapter: gpu.info().clone(),
            features: gpu.device().features(),
            limits: gpu.limits().clone(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            rows,
        }
    }

    /// Whether every row holds. Nothing measured is nothing held.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::passed)
    }

    /// Whether the device granted no more than WebGPU promises everywhere.
    pub fn least_capable(&self) -> bool {
        self.features.is_empty() && self.limits.check_limits(&wgpu::Limits::default())
    }

    /// As JSON; this module's documentation has the schema.
    pub fn to_json(&self) -> Value {
        let adapter = &self.adapter;
        json!({
            "schema": "ffwd-verify/1",
            "version": env!("CARGO_PKG_VERSION"),
            "date": self.date,
            "adapter": adapter.name,
            "backend": format!("{:?}", adapter.backend).to_lowercase(),
            "driver": adapter.driver,
            "driver_info": adapter.driver_info,
            "software": is_software(adapter),
            "limits": if self.least_capable() { "webgpu-default" } else { "adapter" },
            "features": self.features.iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
            "host": { "os": self.os, "arch": self.arch },
            "passed": self.passed(),
            "rows": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        let (first, second, actual, truth) = self.at;
        json!({
            "function": self.name,
            "output": self.output,
            "element": self.element.name(),
            "inputs": self.inputs,
            "max_ulp": number(self.ulp),
            "allowed_ulp": number(self.allowed),
            "breaches": self.breaches,
            "worst": {
                "inputs": [number(first.into()), number(second.into())],
                "actual": number(actual.into()),
                "truth": number(truth),
            },
        })
    }
}

/// JSON has no NaN and no infinities: those are strings.
fn number(value: f64) -> Value {
    if value.is_finite() { Value::from(value) } else { Value::from(value.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn report(breaches: usize) -> Report {
        let at = (f32::NAN, 2.0, f32::NEG_INFINITY, 1.5);
        let row = Row { name: "tanh".into(), output: "y", element: Element::F16, inputs: 9, ulp: f64::NAN, allowed: 0.51, breaches, at };
        Report {
            date: "2000-01-01T00:00:00Z".into(),
            adapter: wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Metal),
            features: wgpu::Features::empty(),
            limits: wgpu::Limits::default(),
            os: "here".into(),
            arch: "there".into(),
            rows: vec![row],
        }
    }

    #[test]
    fn a_breach_or_nothing_does_not_pass() {
        assert!(report(0).passed() && !report(1).passed());
        assert!(!Report { rows: Vec::new(), ..report(0) }.passed());
        assert_eq!(report(1).to_json()["passed"], false);
    }

    #[test]
    fn one_feature_or_limit_more_is_not_the_default() {
        assert_eq!(report(0).to_json()["limits"], "webgpu-default");
        let feature = Report { features: wgpu::Features::SUBGROUP, ..report(0) };
        assert_eq!((feature.to_json()["limits"].clone(), feature.to_json()["features"][0].clone()), ("adapter".into(), "SUBGROUP".into()));
        let wider = wgpu::Limits { max_storage_buffers_per_shader_stage: 9, ..Default::default() };
        assert_eq!(Report { limits: wider, ..report(0) }.to_json()["limits"], "adapter");
        let narrower = wgpu::Limits { max_storage_buffers_per_shader_stage: 7, ..Default::default() };
        assert_eq!(Report { limits: narrower, ..report(0) }.to_json()["limits"], "webgpu-default");
    }

    #[test]
    fn what_is_no_number_is_a_string() {
        let json = report(1).to_json();
        let row = &json["rows"][0];
        assert_eq!((row["max_ulp"].clone(), row["allowed_ulp"].clone()), ("NaN".into(), 0.51.into()));
        assert_eq!(row["worst"], json!({ "inputs": ["NaN", 2.0], "actual": "-inf", "truth": 1.5 }));
    }
}
