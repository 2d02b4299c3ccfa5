//! Quantised blocks against the gguf package: what is read out of them, and what is made of numbers, bit for bit.

use std::path::Path;

use ffwd::weights::{Block, Gguf, HostWeight, Tensors, read_gguf, read_safetensors};

fn data(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

fn golden() -> Gguf {
    read_gguf(data("quantised/blocks.gguf")).unwrap()
}

/// Bits, with one for every NaN: which one a product of NaN is, differs among processors.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

/// Bits of a row, so that the place of a difference shows.
fn assert_same(what: &str, ours: &[f32], theirs: &[f32]) {
    let (ours_bits, theirs_bits) = (bits(ours), bits(theirs));
    assert_eq!(ours_bits.len(), theirs_bits.len(), "{what}");
    let differ = ours_bits.iter().zip(&theirs_bits).position(|(a, b)| a != b);
    if let Some(at) = differ {
        panic!("{what}: value {at} is {:e} ({:08x}), not {:e} ({:08x})", ours[at], ours_bits[at], theirs[at], theirs_bits[at]);
    }
}

fn blocks(tensors: &Tensors, name: &str) -> (Block, Vec<u8>) {
    match tensors.weight(name).unwrap() {
        HostWeight::Blocks { block, bytes, .. } => (block, bytes),
        other => panic!("{name} is {}", other.kind()),
    }
}

#[test]
fn every_kind_reads_as_the_gguf_package_reads_it() {
    let (file, mut special) = (golden(), 0);
    let tensors = file.tensors();
    for kind in Block::ALL {
        for what in ["random", "special"] {
            let name = format!("{}.{what}", kind.name());
            let values = tensors.get(&format!("{name}.values")).unwrap().to_f32();
            let (found, bytes) = blocks(tensors, &format!("{name}.blocks"));
            assert_eq!(found, kind);
            let mut ours = Vec::new();
            kind.dequantise(&bytes, &mut ours);
            assert_same(&name, &ours, &values);
            assert_same(&name, &tensors.get(&format!("{name}.blocks")).unwrap().to_f32(), &values);
            special += values.iter().filter(|value| !value.is_normal()).count();
        }
    }
    assert!(special > 10_000, "only {special} zeros, subnormals, infinities and NaN");
}

#[test]
fn older_kinds_are_made_as_the_gguf_package_makes_them() {
    let file = golden();
    let (tensors, rows) = (file.tensors(), file.tensors().get("rows").unwrap());
    let width = rows.shape[1];
    let rows = rows.to_f32();
    for kind in [Block::Q8_0, Block::Q4_0, Block::Q4_1, Block::Q5_0, Block::Q5_1, Block::MXFP4] {
        let name = format!("{}.rows", kind.name());
        let (_, theirs) = blocks(tensors, &format!("{name}.blocks"));
        let values = tensors.get(&format!("{name}.values")).unwrap().to_f32();
        let size = width / kind.len() * kind.size();
        for (k, (row, theirs)) in rows.chunks(width).zip(theirs.chunks(size)).enumerate() {
            let ours = kind.quantise(row).unwrap();
            // The package's exponent of numbers below 2^-125 wraps around to a huge one; ours ends at the smallest.
            if kind == Block::MXFP4 && row.iter().all(|x| x.abs() < 2_f32.powi(-125)) && row.iter().any(|x| *x != 0.0) {
                assert!(ours.chunks(kind.size()).all(|block| block[0] == 0));
                continue;
            }
            assert_eq!(ours, theirs, "{name}: row {k}, {row:?}");
            let mut back = Vec::new();
            kind.dequantise(&ours, &mut back);
            assert_same(&name, &back, &values[k * width..][..width]);
        }
    }
}

/// The matrix of the other reference answers: read as f32, as f16, as bf16, and as three kinds of blocks.
#[test]
fn a_matrix_in_every_kind_of_an_older_file() {
    let (file, numbers) = (read_gguf(data("quant.gguf")).unwrap(), read_safetensors(data("quant.safetensors")).unwrap());
    let w = numbers.get("W").unwrap().to_f32();
    assert_same("f32", &file.tensors().get("f32.weight").unwrap().to_f32(), &w);
    for kind in ["f16", "bf16", "q8_0", "q4_0", "q4_1"] {
        let dequantised = numbers.get(&format!("{kind}.dequant")).unwrap().to_f32();
        assert_same(kind, &file.tensors().get(&format!("{kind}.weight")).unwrap().to_f32(), &dequantised);
    }
    for kind in [Block::Q8_0, Block::Q4_0, Block::Q4_1] {
        let (_, theirs) = blocks(file.tensors(), &format!("{}.weight", kind.name().to_lowercase()));
        assert_eq!(kind.quantise(&w).unwrap(), theirs, "{kind:?}");
    }
}
