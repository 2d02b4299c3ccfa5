//! Quantised weights as an operand: where a row's codes and scales lie ([`crate::quantised::Packing`]), as the functions that
//! loops read weights with.

use crate::quantised::{Block, Packing};
use crate::shader::operand::storage_file;

/// The files that say what codes and scales mean; of loops that take `blocks` of 32 at a time also how they are summed.
pub(super) fn files(packing: Packing, blocks: bool, built_in_halves: bool) -> Vec<&'static str> {
    let words4 = include_str!("../../../shaders/quantised/words4.wgsl");
    let mut files = match packing {
        Packing::Block(Block::MXFP4) => vec![include_str!("../../../shaders/quantised/e2m1.wgsl"), words4],
        Packing::Block(Block::Q8_0) => vec![include_str!("../../../shaders/quantised/codes8.wgsl")],
        _ => vec![include_str!("../../../shaders/quantised/codes4.wgsl"), words4],
    };
    let high = match packing.high_bits() {
        0 => include_str!("../../../shaders/quantised/high0.wgsl"),
        1 => include_str!("../../../shaders/quantised/high1.wgsl"),
        _ => include_str!("../../../shaders/quantised/high2.wgsl"),
    };
    let sums = if packing.has_offsets() {
        [include_str!("../../../shaders/quantised/offset.wgsl"), include_str!("../../../shaders/quantised/offset_block.wgsl")]
    } else {
        [include_str!("../../../shaders/quantised/scaled.wgsl"), include_str!("../../../shaders/quantised/scaled_block.wgsl")]
    };
    files.extend([high, sums[0], include_str!("../../../shaders/quantised/scales.wgsl")]);
    if packing != Packing::Block(Block::MXFP4) {
        files.push(include_str!("../../../shaders/quantised/integers.wgsl"));
    }
    if blocks {
        files.push(sums[1]);
    }
    files.extend(if built_in_halves {
        vec![include_str!("../../../shaders/quantised/half_built_in.wgsl")]
    } else {
        vec![include_str!("../../../shaders/quantised/half_exact.wgsl"), storage_file(crate::Element::F16)]
    });
    files
}

/// `NAME_step(row, k)`: four weights of a row, or with `blocks` 32 of them, still packed. `slot` is the operand's number.
pub(super) fn render(name: &str, slot: usize, packing: Packing, blocks: bool) -> String {
    let (low, high) = (packing.low_bits(), packing.high_bits());
    let mut text = format!(
        "fn {name}_row(row: u32) -> u32 {{\n    return params.offsets[{}][{}] + row * params.b_stride;\n}}\n\
         fn {name}_word(row: u32, word: u32) -> u32 {{\n    return {name}_data[row + word / 4u][word % 4u];\n}}\n\
         fn {name}_scale(row: u32, group: u32) -> vec2<f32> {{\n    let scales = params.depth / 32u * {}u;\n    {}\n}}\n",
        slot / 4,
        slot % 4,
        low + high,
        scale(name, packing)
    );
    let group = packing.group() / 4;
    text += &if blocks {
        let scales = if packing == Packing::Block(Block::Q6_K) {
            // Both groups of a block have their scales in one word.
            format!(
                "let scales = params.depth / 32u * {}u;\n    let block = {name}_word(p, scales + k / 8u);\n    \
                 let both = {name}_word(p, scales + params.depth / 256u + k / 2u);\n    \
                 let scale = vec4<f32>(signed_scale(block, both, 2u * k), 32.0, signed_scale(block, both, 2u * k + 1u), 32.0);",
                low + high
            )
        } else {
            format!("let scale = {name}_scale(p, 8u * k / {group}u).xyxy;")
        };
        let words = if low == 8 {
            format!("{name}_data[p + 2u * k], {name}_data[p + 2u * k + 1u]")
        } else {
            format!("{name}_data[p + k], vec4<u32>()")
        };
        let tops = match high {
            0 => "vec2<u32>()".into(),
            1 => format!("vec2<u32>({name}_word(p, params.depth / 8u + k), 0u)"),
            // Two of the words of one vector.
            _ => format!("pair_of({name}_data[p + params.depth / 32u + k / 2u], k)"),
        };
        format!(
            "fn {name}_step(row: u32, k: u32) -> WeightStep {{\n    let p = {name}_row(row);\n    \
             {scales}\n    return WeightStep({words}, {tops}, scale);\n}}\n"
        )
    } else {
        let word = if low == 8 { format!("{name}_word(p, k)") } else { format!("{name}_word(p, k / 2u) >> (16u * (k & 1u))") };
        let top = match high {
            0 => "0u".into(),
            1 => format!("{name}_word(p, params.depth / 8u + k / 8u) >> (4u * (k & 7u))"),
            _ => format!("{name}_word(p, params.depth / 8u + k / 4u) >> (8u * (k & 3u))"),
        };
        format!(
            "fn {name}_step(row: u32, k: u32) -> WeightStep {{\n    let p = {name}_row(row);\n    \
             let scale = {name}_scale(p, k / {group}u);\n    \
             return weights_of(numbers_of({word}, {top}, zero_of(scale)), scale);\n}}\n"
        )
    };
    text
}

/// (scale, zero point or offset) of a group, from the row's words.
fn scale(name: &str, packing: Packing) -> String {
    let word = |place: &str| format!("{name}_word(row, scales + {place})");
    let halves = |zero: &str| format!("return vec2<f32>(half_scale({}, group), {zero});", word("group / 2u"));
    match packing {
        Packing::Block(Block::Q8_0) => halves("128.0"),
        Packing::Block(Block::Q4_0) => halves("8.0"),
        Packing::Block(Block::Q5_0) => halves("16.0"),
        Packing::Block(Block::Q4_1 | Block::Q5_1) => format!("return half_pair({});", word("group")),
        Packing::Block(Block::Q4_K | Block::Q5_K) => {
            format!("return k_scale({}, {}, group);", word("group / 8u"), word("params.depth / 256u + group / 2u"))
        }
        Packing::Block(Block::Q6_K) => {
            let (block, scales) = (word("group / 16u"), word("params.depth / 256u + group / 4u"));
            format!("return vec2<f32>(signed_scale({block}, {scales}, group), 32.0);")
        }
        Packing::Block(Block::MXFP4) => format!("return vec2<f32>(power_scale({}, group), 0.0);", word("group / 4u")),
        Packing::Int4 { .. } => {
            let (scale, zero) = (word("2u * group"), word("2u * group + 1u"));
            format!("return vec2<f32>(bitcast<f32>({scale}), bitcast<f32>({zero}));")
        }
    }
}
