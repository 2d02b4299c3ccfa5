//! Files in, files out.

use std::fs;

use super::*;
use crate::element::Element;
use crate::quantised::Block;
use crate::weights::testing::{Builder, string};
use crate::weights::{Gguf, HostTensor, read_gguf, write_safetensors};

const GATE: &str = "blk.0.ffn_gate.weight";

/// Metadata of an array, an alignment of its own, and tensors of every fate.
fn sample() -> Builder {
    let words = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &string("a"), &string("bc")].concat();
    let wave: Vec<u8> = (0..512).flat_map(|i| (i as f32 * 0.37).sin().to_le_bytes()).collect();
    Builder { alignment: 64, ..Builder::new() }
        .pair("words", 9, &words)
        .pair("general.alignment", 4, &64_u32.to_le_bytes())
        .pair("answer", 10, &42_u64.to_le_bytes())
        .tensor("token_embd.weight", &[2, 256], 0, &wave)
        .tensor(GATE, &[2, 256], 0, &wave)
        .counting("blk.0.ffn_up.weight", &[2, 33], 0.5)
        .counting("blk.0.ffn_norm.weight", &[256], 0.5)
        .tensor("blk.0.odd", &[5], 26, &[7; 20])
        .tensor("blk.0.ffn_down_exps.weight", &[1, 2, 32], 8, &[3; 68])
}

fn convert(bytes: &[u8], to: &Encoding, matrices: Matrices) -> Result<(Conversion, Vec<Option<Loss>>, Gguf)> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.gguf"), folder.path().join("out.gguf"));
    fs::write(&input, bytes).unwrap();
    let conversion = Conversion::open(&input, to, matrices)?;
    let mut told = 0;
    let losses = conversion.write(&output, &mut |_, bytes| {
        told += bytes;
        ControlFlow::Continue(())
    })?;
    assert_eq!(told, conversion.tensors().iter().map(|tensor| tensor.bytes_before).sum::<u64>());
    let written = fs::read(&output).unwrap();
    Ok((conversion, losses, Gguf::from_bytes(written, "out").unwrap()))
}

#[test]
fn every_kind_is_written_and_everything_else_stays() {
    let source = Gguf::from_bytes(sample().build(), "in").unwrap();
    let kinds = Block::ALL.map(Encoding::Blocks).into_iter().chain(Element::ALL.map(Encoding::Plain));
    for to in kinds {
        let (conversion, losses, file) = convert(&sample().build(), &to, Matrices::FeedForward).unwrap();
        let planned = |name: &str| conversion.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        assert_eq!(planned(GATE).to, to);
        assert_eq!(file.tensors().encoding(GATE), Some(&to));
        let values = source.tensors().get(GATE).unwrap().to_f32();
        let back = file.tensors().get(GATE).unwrap().to_f32();
        let largest = values.iter().zip(&back).map(|(x, y)| (f64::from(*x) - f64::from(*y)).abs()).fold(0.0, f64::max);
        let at = conversion.tensors().iter().position(|tensor| tensor.name == GATE).unwrap();
        if let Some(loss) = losses[at] {
            // What is just below 8 becomes 6 in MXFP4.
            let most = if to == Encoding::Blocks(Block::MXFP4) { 0.25 } else { 0.1 };
            assert!(loss.largest == largest && loss.relative_rms < most, "{to}: {loss:?} {largest}");
            assert_eq!(loss.relative_rms > 0.0, largest > 0.0, "{to}");
        }
        for name in ["token_embd.weight", "blk.0.ffn_norm.weight", "blk.0.odd"] {
            assert_eq!(file.tensors().encoding(name), source.tensors().encoding(name));
            assert_eq!(file.tensors().stored(name).unwrap(), source.tensors().stored(name).unwrap(), "{name}");
        }
        let is_blocks = matches!(to, Encoding::Blocks(_));
        assert_eq!(planned("blk.0.ffn_up.weight").left.is_some(), is_blocks, "{to}");
        // What was there is there, byte for byte and in its order.
        let stored = file.stored_metadata().unwrap();
        assert_eq!(stored[..3], source.stored_metadata().unwrap()[..]);
        // Where there are blocks it says of which version.
        assert_eq!(file.value("general.quantization_version"), is_blocks.then_some(&Value::U32(2)), "{to}");
        assert_eq!(stored.len(), 3 + usize::from(is_blocks));
    }
}

#[test]
fn all_matrices_are_converted_where_all_are_wanted() {
    let q8_0 = Encoding::Blocks(Block::Q8_0);
    let (_, losses, file) = convert(&sample().build(), &q8_0, Matrices::All).unwrap();
    assert_eq!(file.tensors().encoding("token_embd.weight"), Some(&q8_0));
    assert_eq!(file.tensors().encoding("blk.0.ffn_norm.weight"), Some(&Encoding::Plain(Element::F32)));
    assert_eq!(losses.iter().flatten().count(), 2);
}

#[test]
fn a_number_without_a_code_is_named() {
    for (bad, to) in
        [(f32::NAN, Encoding::Blocks(Block::Q4_K)), (f32::INFINITY, Encoding::Plain(Element::F16)), (1e6, Encoding::Plain(Element::F16))]
    {
        let mut values = vec![1.0; 512];
        values[256 + 7] = bad;
        let bytes = Builder::new().tensor(GATE, &[2, 256], 0, &Element::F32.encode(&values)).build();
        let error = convert(&bytes, &to, Matrices::FeedForward).map(drop).unwrap_err();
        assert!(matches!(&error, WeightsError::Unstorable { at, .. } if *at == [1, 7]), "{error}");
        assert!(error.to_string().contains(GATE), "{error}");
    }
}

#[test]
fn what_stops_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.gguf"), folder.path().join("out.gguf"));
    fs::write(&input, sample().build()).unwrap();
    fs::write(&output, "old").unwrap();
    let conversion = Conversion::open(&input, &Encoding::Blocks(Block::Q8_0), Matrices::All).unwrap();
    let mut calls = 0;
    let stop = &mut |_: &str, _| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(conversion.write(&output, stop), Err(WeightsError::Stopped { .. })));
    assert_eq!(fs::read(&output).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn shards_become_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |first: f32| HostTensor::new(&[2, 32], Element::Bf16, &(0..64).map(|i| first + i as f32).collect::<Vec<_>>()).unwrap();
    let (gate, embed) = ("model.layers.0.mlp.gate_proj.weight", "model.embed_tokens.weight");
    write_safetensors(folder.path().join("a.safetensors"), &[(gate, tensor(0.0))]).unwrap();
    write_safetensors(folder.path().join("b.safetensors"), &[(embed, tensor(9.0))]).unwrap();
    let index = serde_json::json!({ "weight_map": { gate: "a.safetensors", embed: "b.safetensors" } });
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let output = folder.path().join("out.gguf");
    let conversion = Conversion::open(folder.path(), &Encoding::Blocks(Block::Q8_0), Matrices::FeedForward).unwrap();
    conversion.write(&output, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let file = read_gguf(&output).unwrap();
    assert_eq!(file.tensors().encoding(gate), Some(&Encoding::Blocks(Block::Q8_0)));
    assert_eq!(file.tensors().get(embed).unwrap(), tensor(9.0));
    assert_eq!(file.value("general.architecture"), Some(&Value::String("unknown".into())));
}
