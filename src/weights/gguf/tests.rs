//! Files made by hand, true ones and every kind of lie.

use super::*;
use crate::accuracy::Random;
use crate::element::Element;
use crate::weights::testing::{Builder, info, mutated, string};

fn parsed(bytes: Vec<u8>) -> Result<Gguf> {
    Gguf::from_bytes(bytes, "test.gguf")
}

fn array(kind: u32, length: u64, elements: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), elements].concat()
}

/// Every type of value, and every kind of tensor that is read.
fn sample() -> Builder {
    Builder::new()
        .pair("u8", 0, &[200])
        .pair("i8", 1, &[200])
        .pair("u16", 2, &[1, 2])
        .pair("i16", 3, &[0xff, 0xff])
        .pair("u32", 4, &7_u32.to_le_bytes())
        .pair("i32", 5, &(-7_i32).to_le_bytes())
        .pair("f32", 6, &1.5_f32.to_le_bytes())
        .pair("bool", 7, &[1])
        .pair("general.architecture", 8, &string("llama"))
        .pair("bytes", 9, &array(0, 3, &[1, 2, 3]))
        .pair("words", 9, &array(8, 2, &[string("a"), string("")].concat()))
        .pair("nested", 9, &array(9, 2, &[array(4, 1, &[0; 4]), array(8, 0, &[])].concat()))
        .pair("u64", 10, &u64::MAX.to_le_bytes())
        .pair("i64", 11, &i64::MIN.to_le_bytes())
        .pair("f64", 12, &0.1_f64.to_le_bytes())
        .counting("f32", &[2, 3], 1.0)
        .tensor("f16", &[2], 1, &Element::F16.encode(&[1.0, -2.0]))
        .tensor("bf16", &[2], 30, &Element::Bf16.encode(&[1.0, -2.0]))
        .tensor("q8_0", &[1, 32], 8, &[0; 34])
        .tensor("q4_0", &[2, 32], 2, &[0; 36])
        .tensor("q4_1", &[1, 64], 3, &[0; 40])
        .tensor("q6_k", &[1, 256], 10, &[0; 210])
        .tensor("scalar", &[], 0, &2_f32.to_le_bytes())
}

#[test]
fn everything_is_read() {
    for version in [2, 3] {
        let file = parsed(Builder { version, ..sample() }.build()).unwrap();
        assert_eq!(file.version(), version);
        for (key, want) in [
            ("u8", Value::U8(200)),
            ("i8", Value::I8(-56)),
            ("u16", Value::U16(513)),
            ("i16", Value::I16(-1)),
            ("u32", Value::U32(7)),
            ("i32", Value::I32(-7)),
            ("f32", Value::F32(1.5)),
            ("bool", Value::Bool(true)),
            ("general.architecture", Value::String("llama".into())),
            ("bytes", Value::Array(3)),
            ("words", Value::Array(2)),
            ("nested", Value::Array(2)),
            ("u64", Value::U64(u64::MAX)),
            ("i64", Value::I64(i64::MIN)),
            ("f64", Value::F64(0.1)),
        ] {
            assert_eq!(file.value(key), Some(&want), "{key}");
        }
        let tensors = file.tensors();
        let f32s = tensors.get("f32").unwrap();
        assert_eq!((f32s.shape.as_slice(), f32s.to_f32()), (&[2, 3][..], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        for (name, element) in [("f16", Element::F16), ("bf16", Element::Bf16)] {
            let tensor = tensors.get(name).unwrap();
            assert_eq!((tensor.element(), tensor.to_f32()), (element, vec![1.0, -2.0]));
        }
        for (name, shape) in [("q8_0", [1, 32]), ("q4_0", [2, 32]), ("q4_1", [1, 64])] {
            let tensor = tensors.get(name).unwrap();
            assert_eq!((tensor.element(), tensor.shape.as_slice()), (Element::F32, &shape[..]));
        }
        assert_eq!(tensors.get("scalar").unwrap().to_f32(), [2.0]);
        let error = tensors.get("q6_k").unwrap_err().to_string();
        assert!(error.contains("\"q6_k\" is Q2_K"), "{error}");
        assert!(tensors.get("q6k").unwrap_err().to_string().contains("\"q6_k\""));
    }
}

#[test]
fn a_file_reads_as_its_bytes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sample().build()).unwrap();
    let (from_file, from_memory) = (read_gguf(file.path()).unwrap(), parsed(sample().build()).unwrap());
    for name in ["f32", "f16", "q4_1"] {
        assert_eq!(from_file.tensors().get(name).unwrap(), from_memory.tensors().get(name).unwrap());
    }
    // A file that shrinks after it was opened.
    std::fs::write(file.path(), b"GGUF").unwrap();
    assert!(matches!(from_file.tensors().get("f32"), Err(WeightsError::Io { .. })));
}

#[test]
fn alignment_is_the_files_own() {
    let aligned = |n: u32| Builder { alignment: n as usize, ..Builder::new() }.pair("general.alignment", 4, &n.to_le_bytes());
    let file = parsed(aligned(64).counting("a", &[3], 0.0).counting("b", &[1], 9.0).build()).unwrap();
    assert_eq!(file.tensors().get("b").unwrap().to_f32(), [9.0]);
    for bad in [0_u32, 24] {
        let bytes = Builder::new().pair("general.alignment", 4, &bad.to_le_bytes()).build();
        assert!(matches!(parsed(bytes), Err(WeightsError::Metadata { .. })), "{bad}");
    }
    assert!(matches!(parsed(Builder::new().pair("general.alignment", 0, &[32]).build()), Err(WeightsError::Metadata { .. })));
}

#[test]
fn lying_infos_are_errors() {
    let with = |infos: &[Vec<u8>], data: usize| parsed(Builder { infos: infos.to_vec(), data: vec![0; data], ..Builder::new() }.build());
    let one = |dims: &[u64], kind, offset| with(&[info("t", dims, kind, offset)], 256).map(drop).unwrap_err();
    assert!(with(&[info("t", &[64], 0, 0)], 256).is_ok());
    assert!(matches!(one(&[65], 0, 0), WeightsError::PastEnd { .. }));
    assert!(matches!(one(&[64], 0, 32), WeightsError::PastEnd { .. }));
    assert!(matches!(one(&[1], 0, 0u64.wrapping_sub(32)), WeightsError::PastEnd { .. }));
    // Of kinds that are not read the size is known, too, but of unknown ones only where they start.
    assert!(matches!(one(&[512], 10, 96), WeightsError::PastEnd { bytes: 168, .. }));
    assert!(matches!(one(&[16], 10, 0), WeightsError::PartialBlock { block: 256, .. }));
    assert!(matches!(one(&[1], 99, 288), WeightsError::PastEnd { bytes: 0, .. }));
    assert!(matches!(one(&[1], 0, 4), WeightsError::Misaligned { offset: 4, alignment: 32, .. }));
    assert!(matches!(one(&[4, 0], 0, 0), WeightsError::ZeroDimension { .. }));
    assert!(matches!(one(&[1 << 32, 1 << 32], 0, 0), WeightsError::TooLarge { .. }));
    assert!(matches!(one(&[u64::MAX / 2], 0, 0), WeightsError::TooLarge { .. }));
    assert!(matches!(one(&[u64::MAX / 32 * 32], 8, 0), WeightsError::TooLarge { .. }));
    assert!(matches!(one(&[16, 2], 8, 0), WeightsError::PartialBlock { row: 16, block: 32, .. }));
    assert!(matches!(one(&[1; 5], 0, 0), WeightsError::Count { claimed: 5, room: 4, .. }));
    let twice = [info("t", &[1], 0, 0), info("t", &[1], 0, 32)];
    assert!(matches!(with(&twice, 64), Err(WeightsError::Duplicate { .. })));
    let overlapping = [info("a", &[9], 0, 0), info("b", &[1], 0, 32)];
    assert!(matches!(with(&overlapping, 64), Err(WeightsError::Overlap { end: 132, start: 128, .. })));
    let unknown = with(&[info("t", &[1], 99, 0)], 64).unwrap();
    assert!(unknown.tensors().get("t").unwrap_err().to_string().contains("ggml type 99"));
}

#[test]
fn lying_headers_are_errors() {
    let sample = sample();
    for (tensors, pairs) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (1 << 40, 15), (8, 1 << 40)] {
        assert!(matches!(parsed(sample.build_claiming(tensors, pairs)), Err(WeightsError::Count { .. })), "{tensors} {pairs}");
    }
    for version in [0, 1, 4, u32::MAX] {
        assert!(matches!(parsed(Builder { version, ..Builder::new() }.build()), Err(WeightsError::Version { .. })), "{version}");
    }
    let big_endian = parsed(Builder { version: 3_u32.swap_bytes(), ..Builder::new() }.build()).unwrap_err();
    assert!(big_endian.to_string().contains("big-endian"), "{big_endian}");
    assert!(matches!(parsed(b"GGML0000".to_vec()), Err(WeightsError::Magic { .. })));
}

#[test]
fn lying_values_are_errors() {
    let value = |kind: u32, bytes: &[u8]| parsed(Builder::new().pair("k", kind, bytes).build()).map(drop).unwrap_err();
    assert!(matches!(value(13, &[0; 8]), WeightsError::Metadata { .. }));
    assert!(matches!(value(7, &[2]), WeightsError::Metadata { .. }));
    assert!(matches!(value(8, &u64::MAX.to_le_bytes()), WeightsError::Truncated { needs: u64::MAX, .. }));
    assert!(matches!(value(8, &[2, 0, 0, 0, 0, 0, 0, 0, b'a', 0xff]), WeightsError::NotUtf8 { at: 1, len: 2, .. }));
    assert!(matches!(value(9, &array(0, u64::MAX, &[])), WeightsError::Count { claimed: u64::MAX, .. }));
    assert!(matches!(value(9, &array(8, 1 << 62, &[])), WeightsError::Count { .. }));
    assert!(matches!(value(9, &array(77, 1, &[0; 64])), WeightsError::Metadata { .. }));
    let deep = (0..5).fold(array(0, 0, &[]), |inner, _| array(9, 1, &inner));
    assert!(matches!(value(9, &deep), WeightsError::Metadata { .. }));
    let twice = Builder::new().pair("k", 0, &[1]).pair("k", 0, &[1]).build();
    assert!(matches!(parsed(twice), Err(WeightsError::Duplicate { .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let whole = sample().build();
    for length in 0..whole.len() {
        assert!(parsed(whole[..length].to_vec()).is_err(), "{length} of {}", whole.len());
    }
}

#[test]
fn mutated_files_do_not_panic() {
    let whole = sample().build();
    let mut random = Random::new(1);
    let mut survived = 0;
    for _ in 0..5000 {
        let Ok(file) = parsed(mutated(&mut random, &whole)) else { continue };
        survived += 1;
        for name in file.tensors().names() {
            if let Ok(tensor) = file.tensors().get(name) {
                assert_eq!(tensor.to_f32().len(), tensor.shape.iter().product::<usize>());
            }
        }
    }
    assert!(survived > 100, "too few of the mutations ({survived}) get past the header to test what is behind it");
}
