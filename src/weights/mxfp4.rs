//! gpt-oss's MXFP4, as its safetensors have it, in ggml's blocks. Both have 32 numbers of four bits and a power of two; byte j
//! holds numbers 2 j and 2 j + 1 there (transformers' `convert_moe_packed_tensors`), j and j + 16 in ggml's.

use super::error::{Result, WeightsError};
use super::host::HostWeight;
use super::source::{Header, Source};
use crate::quantised::Block;

/// Bytes of the numbers of a block.
const NUMBERS: usize = 16;

/// What the two tensors are together: `blocks` is `[.., in / 32, 16]`, `scales` `[.., in / 32]`.
pub(super) fn header(source: &dyn Source, blocks: &str, scales: &str) -> Result<Header> {
    let (numbers, powers) = (source.header(blocks)?, source.header(scales)?);
    let wrong = |tensor: &str, header: &Header, expected: String| WeightsError::TensorShape {
        file: source.file().to_owned(),
        tensor: tensor.to_owned(),
        found: header.shape.clone(),
        expected,
    };
    let Some((rows @ [.., count], [NUMBERS])) = numbers.shape.split_last_chunk() else {
        return Err(wrong(blocks, &numbers, format!("[.., {NUMBERS}]")));
    };
    if powers.shape != rows {
        return Err(wrong(scales, &powers, format!("{rows:?} beside {blocks:?} of shape {:?}", numbers.shape)));
    }
    let mut shape = rows.to_vec();
    let inputs = count.checked_mul(Block::MXFP4.len()).ok_or_else(|| wrong(blocks, &numbers, "fewer inputs".into()))?;
    if let Some(last) = shape.last_mut() {
        *last = inputs;
    }
    Ok(Header { shape, kind: Block::MXFP4.name().into(), bytes: numbers.bytes.saturating_add(powers.bytes) })
}

/// Reads them; `shape` is the header's.
pub(super) fn read(source: &dyn Source, blocks: &str, scales: &str, shape: &[usize]) -> Result<HostWeight> {
    let (numbers, powers) = (source.raw(blocks, "U8")?, source.raw(scales, "U8")?);
    let mut bytes = Vec::with_capacity(numbers.len().saturating_add(powers.len()));
    for (numbers, power) in numbers.as_chunks::<NUMBERS>().0.iter().zip(&powers) {
        bytes.push(*power);
        bytes.extend(repacked(numbers));
    }
    Ok(HostWeight::Blocks { shape: shape.to_vec(), block: Block::MXFP4, bytes })
}

/// Numbers j and j + 16 in byte j, where they were 2 j and 2 j + 1.
fn repacked(numbers: &[u8; NUMBERS]) -> [u8; NUMBERS] {
    let number = |i: usize| numbers.get(i / 2).copied().unwrap_or(0) >> (i % 2 * 4) & 15;
    std::array::from_fn(|j| number(j) | number(j + NUMBERS) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_keeps_its_place() {
        for i in 0..32 {
            let mut theirs = [0; NUMBERS];
            theirs[i / 2] = 5 << (i % 2 * 4);
            let mut block = vec![127];
            block.extend(repacked(&theirs));
            let mut values = Vec::new();
            Block::MXFP4.dequantise(&block, &mut values);
            let want: Vec<f32> = (0..32).map(|j| if i == j { 3.0 } else { 0.0 }).collect();
            assert_eq!(values, want);
        }
    }
}
