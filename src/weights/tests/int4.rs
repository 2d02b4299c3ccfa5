//! GPTQ and AWQ: the reference's numbers bit for bit, and everything that does not fit.

use ::safetensors::Dtype;

use crate::weights::testing::{Folder, Raw, golden};
use crate::weights::{FeedForwardWeights, HostWeight, Result, WeightsError};

const NAME: &str = "model.layers.0.mlp";

/// A network whose first weight is the reference's.
fn tensors(case: &str, method: &str) -> Vec<(String, Raw)> {
    let mut tensors = Vec::new();
    for (name, raw) in golden("int4.safetensors") {
        let Some((owner, kind)) = name.rsplit_once('.') else { continue };
        // AWQ's scales are GPTQ's.
        if owner == format!("{case}.{method}") || kind == "scales" && owner == format!("{case}.gptq") {
            tensors.push((format!("{NAME}.up_proj.{kind}"), raw));
        }
    }
    let inputs = if case == "int4" { 512 } else { 256 };
    tensors.push((format!("{NAME}.up_proj.bias"), Raw::counting(&[32], 7.0)));
    tensors.push((format!("{NAME}.down_proj.weight"), Raw::counting(&[inputs, 32], 0.0)));
    tensors
}

/// The same in a directory, changed.
fn folder(case: &str, method: &str, config: &str, change: impl Fn(&str, &mut Raw)) -> Folder {
    let mut tensors = tensors(case, method);
    for (name, raw) in &mut tensors {
        if let Some((_, kind)) = name.rsplit_once('.').filter(|(module, _)| module.ends_with("up_proj")) {
            change(kind, raw);
        }
    }
    Folder::new(config, &tensors)
}

fn quantised(method: &str, more: &str) -> String {
    format!(r#"{{"quantization_config": {{"quant_method": "{method}", "bits": 4, "group_size": 128{more}}}}}"#)
}

fn up(folder: &Folder) -> Result<HostWeight> {
    let FeedForwardWeights::Dense { w1, b1, .. } = folder.model()?.feed_forward(0)? else { panic!() };
    assert_eq!(b1.unwrap().to_f32()[0], 7.0);
    Ok(w1)
}

fn dequant(case: &str) -> Vec<u32> {
    let (_, raw) = golden("int4.safetensors").into_iter().find(|(name, _)| *name == format!("{case}.dequant")).unwrap();
    raw.bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

fn bits(weight: &HostWeight) -> Vec<u32> {
    weight.to_f32().into_iter().map(f32::to_bits).collect()
}

#[test]
fn both_formats_are_the_reference_bit_for_bit() {
    for (case, method, more) in [
        ("int4", "gptq", r#", "desc_act": false, "checkpoint_format": "gptq""#),
        ("int4", "gptq", ""),
        ("int4", "awq", r#", "version": "gemm", "zero_point": true"#),
        ("int4_actorder", "gptq", r#", "desc_act": true"#),
    ] {
        let folder = folder(case, method, &quantised(method, more), |_, _| {});
        let weight = up(&folder).unwrap();
        assert_eq!(bits(&weight), dequant(case), "{case} {method}");
        let HostWeight::Int4(int4) = &weight else { panic!() };
        assert_eq!((int4.order.is_some(), int4.group), (case == "int4_actorder", 128));
        let facts = folder.model().unwrap().facts(0).unwrap();
        let inputs = int4.shape[1] as u64;
        assert!(facts.biases && facts.stored["int4"] >= 32 * inputs / 2 && facts.stored["f32"] == 4 * (32 + 32 * inputs));
    }
}

#[test]
fn zero_points_are_stored_less_one_or_plain() {
    // What gptq_v2 stores plain, gptq stores less one: the same words are one apart.
    let more = |format| quantised("gptq", &format!(r#", "checkpoint_format": "{format}""#));
    let zeros = |format| {
        let folder = folder("int4", "gptq", &more(format), |kind, raw| {
            if kind == "qzeros" {
                raw.bytes.fill(0xf0)
            }
        });
        let HostWeight::Int4(int4) = up(&folder).unwrap() else { panic!() };
        int4.zeros
    };
    assert_eq!((&zeros("gptq")[..2], &zeros("gptq_v2")[..2]), (&[1, 1][..], &[0, 0][..]));
    assert_eq!((zeros("gptq")[4], zeros("gptq_v2")[4]), (16, 15));
}

#[test]
fn settings_lie_where_the_tools_write_them() {
    let inside = folder("int4", "gptq", "{}", |_, _| {});
    assert!(matches!(up(&inside), Err(WeightsError::Unsaid { file, .. }) if file.ends_with("config.json")));
    inside.put("quantize_config.json", br#"{"bits": 4, "group_size": 128, "desc_act": false}"#);
    assert_eq!(bits(&up(&inside).unwrap()), dequant("int4"));
    inside.put("quantize_config.json", br#"{"bits": 3, "group_size": 128}"#);
    let error = up(&inside).unwrap_err().to_string();
    assert!(error.contains("quantize_config.json") && error.contains("\"bits\" is 3; 4 is read"), "{error}");
}

#[test]
fn one_group_may_hold_all_inputs() {
    let config = r#"{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": -1}}"#;
    let folder = folder("int4", "gptq", config, |kind, raw| match kind {
        "qzeros" | "scales" => {
            raw.shape[0] = 1;
            raw.bytes.truncate(raw.bytes.len() / 4);
        }
        "g_idx" => raw.bytes.fill(0),
        _ => {}
    });
    let HostWeight::Int4(int4) = up(&folder).unwrap() else { panic!() };
    assert_eq!((int4.group, int4.scales.len(), int4.order), (512, 32, None));
}

#[test]
fn settings_that_are_not_read_are_refused() {
    for (config, wanted) in [
        (quantised("gptq", r#", "checkpoint_format": "marlin""#), "\"checkpoint_format\" is marlin; gptq or gptq_v2"),
        (quantised("awq", r#", "version": "gemv""#), "\"version\" is gemv; gemm"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": 8, "group_size": 128}}"#.into(), "\"bits\" is 8; 4"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 0}}"#.into(), "\"group_size\" is 0"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": -2}}"#.into(), "\"group_size\" is -2"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 100}}"#.into(), "groups of 100; it has 512"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 64}}"#.into(), "[4, 4], expected [8, 4]"),
        (r#"{"quantization_config": {"quant_method": "gptq", "bits": "4", "group_size": 64}}"#.into(), "\"bits\" is not"),
        (r#"{"quantization_config": {"quant_method": "fp8", "bits": 4, "group_size": 64}}"#.into(), "not said"),
    ] {
        let error = up(&folder("int4", "gptq", &config, |_, _| {})).unwrap_err().to_string();
        assert!(error.contains(wanted), "{config}: {error}");
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let broken = |change: &dyn Fn(&str, &mut Raw)| up(&folder("int4", "gptq", &quantised("gptq", ""), change)).unwrap_err().to_string();
    for (kind, shape, wanted) in [
        ("qweight", &[32, 32][..], "qzeros\" has shape [4, 4], expected [2, 4]"),
        ("qweight", &[64], "qweight\" has shape [64]"),
        ("qweight", &[64, 31], "qweight\" has shape [64, 31]"),
        ("qzeros", &[4, 3], "qzeros\" has shape [4, 3], expected [4, 4]"),
        ("scales", &[4, 31], "scales\" has shape [4, 31], expected [4, 32]"),
        ("g_idx", &[511], "g_idx\" has shape [511], expected [512]"),
    ] {
        let error = broken(&|name, raw| {
            if name == kind {
                *raw = Raw::zeros(raw.kind, shape)
            }
        });
        assert!(error.contains(wanted), "{kind}: {error}");
    }
    let group = |at: usize, group: i32| {
        broken(&move |kind, raw| {
            if kind == "g_idx" {
                raw.bytes[4 * at..4 * at + 4].copy_from_slice(&group.to_le_bytes())
            }
        })
    };
    assert!(group(3, 4).contains("the group of input 3 is 4; there are 4"), "{}", group(3, 4));
    assert!(group(5, -1).contains("the group of input 5 is -1"), "{}", group(5, -1));
    assert!(group(0, 1).contains("the number of inputs of group 0 is 127; a group has 128"), "{}", group(0, 1));
    let float = broken(&|kind, raw| {
        if kind == "qweight" {
            raw.kind = Dtype::F32
        }
    });
    assert!(float.contains("is F32; I32 is needed"), "{float}");
    let integer = broken(&|kind, raw| {
        if kind == "scales" {
            *raw = Raw::zeros(Dtype::I16, &[4, 32])
        }
    });
    assert!(integer.contains("I16"), "{integer}");
}

#[test]
fn a_part_of_a_weight_is_none() {
    for (lost, wanted) in [("qzeros", "no \"model.layers.0.mlp.up_proj.qzeros\""), ("qweight", "no \"model.layers.0.mlp.up_proj.weight\"")]
    {
        let mut tensors = tensors("int4", "gptq");
        tensors.retain(|(name, _)| !name.ends_with(lost));
        let error = up(&Folder::new(&quantised("gptq", ""), &tensors)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let mut both = tensors("int4", "gptq");
    both.push((format!("{NAME}.up_proj.weight"), Raw::counting(&[32, 512], 0.0)));
    assert!(matches!(up(&Folder::new(&quantised("gptq", ""), &both)), Err(WeightsError::NotUnderstood { .. })));
}
