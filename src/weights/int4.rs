//! GPTQ's and AWQ's tensors as [`Int4`]. Both pack eight numbers of four bits into an I32 and give a scale and a zero point to
//! each group of inputs; GPTQ packs along the inputs (AutoGPTQ's `QuantLinear.pack`), AWQ along the outputs and in an order of
//! its own (AutoAWQ's `WQLinear_GEMM`).

use super::error::{Result, WeightsError};
use super::host::HostWeight;
use super::source::{Header, Source};
use crate::quantised::Int4;

/// Numbers in an I32.
const PACKED: usize = 8;
/// The nibble of an I32 that holds output 8 c + i (AutoAWQ's `order_map` is its inverse).
const AWQ_NIBBLE: [usize; PACKED] = [0, 4, 1, 5, 2, 6, 3, 7];

/// How a model packs its numbers of four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Along the inputs; the first format stores zero points less one.
    Gptq { one_less: bool },
    /// Along the outputs.
    Awq,
}

/// What the settings say of a model's numbers of four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grouping {
    pub packing: Packing,
    /// Inputs of a group; `None` where all are one.
    pub group: Option<usize>,
}

/// A weight's four tensors.
#[derive(Debug)]
pub(super) struct Tensors4 {
    /// `qweight`: `[in / 8, out]` (GPTQ), `[in, out / 8]` (AWQ).
    pub codes: String,
    /// `qzeros`: `[groups, out / 8]`.
    pub zeros: String,
    /// `[groups, out]`.
    pub scales: String,
    /// `g_idx`: the group of each input.
    pub groups: Option<String>,
    pub grouping: Grouping,
}

impl Tensors4 {
    /// What they are together, from their headers.
    pub fn header(&self, source: &dyn Source) -> Result<Header> {
        let (codes, zeros, scales) = (source.header(&self.codes)?, source.header(&self.zeros)?, source.header(&self.scales)?);
        let groups = self.groups.as_deref().map(|name| source.header(name)).transpose()?;
        let wrong = |tensor: &str, header: &Header, expected: String| {
            let (file, tensor, found) = (source.file().to_owned(), tensor.to_owned(), header.shape.clone());
            Err(WeightsError::TensorShape { file, tensor, found, expected })
        };
        let packing = self.grouping.packing;
        let whole = match (packing, codes.shape.as_slice()) {
            (Packing::Gptq { .. }, [rows, outputs]) => rows.checked_mul(PACKED).map(|inputs| (inputs, *outputs)),
            (Packing::Awq, [inputs, cols]) => cols.checked_mul(PACKED).map(|outputs| (*inputs, outputs)),
            _ => None,
        };
        let fits = |(inputs, outputs): &(usize, usize)| {
            let sizes = inputs.is_multiple_of(2) && outputs.is_multiple_of(PACKED) && *inputs > 0 && *outputs > 0;
            sizes && inputs.checked_mul(*outputs).is_some()
        };
        let Some((inputs, outputs)) = whole.filter(fits) else {
            return wrong(&self.codes, &codes, "two dimensions, inputs in pairs and outputs in eights".into());
        };
        let group = self.grouping.group.unwrap_or(inputs);
        if group == 0 || !inputs.is_multiple_of(group) {
            return wrong(&self.codes, &codes, format!("inputs in whole groups of {group}; it has {inputs}"));
        }
        for (name, header, expected) in
            [(&self.zeros, &zeros, [inputs / group, outputs / PACKED]), (&self.scales, &scales, [inputs / group, outputs])]
        {
            if header.shape != expected {
                return wrong(
                    name,
                    header,
                    format!("{expected:?} beside {:?} of shape {:?} in groups of {group}", self.codes, codes.shape),
                );
            }
        }
        if let Some((name, header)) = self.groups.as_deref().zip(groups.as_ref()).filter(|(_, header)| header.shape != [inputs]) {
            return wrong(name, header, format!("[{inputs}] beside {:?} of shape {:?}", self.codes, codes.shape));
        }
        let all = [codes.bytes, zeros.bytes, scales.bytes, groups.map_or(0, |header| header.bytes)];
        let bytes = all.into_iter().fold(0_u64, u64::saturating_add);
        Ok(Header { shape: vec![outputs, inputs], kind: "int4".into(), bytes })
    }

    /// Reads them; `shape` is the header's.
    pub fn read(&self, source: &dyn Source, shape: &[usize]) -> Result<HostWeight> {
        let &[outputs, inputs] = shape else { return Err(self.inconsistent(source, shape)) };
        let group = self.grouping.group.unwrap_or(inputs).max(1);
        let groups = inputs / group;
        let (codes, zeros) = (words(&source.raw(&self.codes, "I32")?), words(&source.raw(&self.zeros, "I32")?));
        let scales = source.weight(&self.scales)?.into_plain().to_f32();
        let order = self.order(source, inputs, group)?;

        let packing = self.grouping.packing;
        let code = |input: usize, output: usize| match packing {
            Packing::Gptq { .. } => nibble(&codes, input / PACKED * outputs + output, input % PACKED),
            Packing::Awq => nibble(&codes, (input * outputs + output) / PACKED, AWQ_NIBBLE[output % PACKED]),
        };
        let zero = |group: usize, output: usize| {
            let at = (group * outputs + output) / PACKED;
            match packing {
                Packing::Gptq { one_less } => nibble(&zeros, at, output % PACKED) + u8::from(one_less),
                Packing::Awq => nibble(&zeros, at, AWQ_NIBBLE[output % PACKED]),
            }
        };
        let input = |col: usize| order.as_ref().and_then(|order| order.get(col)).map_or(col, |input| *input as usize);
        let mut int4 = Int4 { shape: [outputs, inputs], group, codes: Vec::new(), scales: Vec::new(), zeros: Vec::new(), order: None };
        int4.codes.reserve_exact(outputs * (inputs / 2));
        for output in 0..outputs {
            int4.codes.extend((0..inputs / 2).map(|pair| code(input(2 * pair), output) | code(input(2 * pair + 1), output) << 4));
            int4.scales.extend((0..groups).map(|g| scales.get(g * outputs + output).copied().unwrap_or(f32::NAN)));
            int4.zeros.extend((0..groups).map(|g| zero(g, output)));
        }
        int4.order = order;
        if int4.is_consistent() { Ok(HostWeight::Int4(int4)) } else { Err(self.inconsistent(source, shape)) }
    }

    /// The inputs sorted by group, where they are not so already.
    fn order(&self, source: &dyn Source, inputs: usize, group: usize) -> Result<Option<Vec<u32>>> {
        let Some(name) = &self.groups else { return Ok(None) };
        let groups = inputs / group;
        let content = |what: String, found, expected| {
            Err(WeightsError::Content { file: source.file().to_owned(), tensor: name.clone(), what, found, expected })
        };
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); groups];
        let words = words(&source.raw(name, "I32")?);
        for (input, word) in words.iter().enumerate() {
            let Some(group) = usize::try_from(word.cast_signed()).ok().and_then(|g| members.get_mut(g)) else {
                return content(format!("the group of input {input}"), i64::from(word.cast_signed()), format!("there are {groups}"));
            };
            group.push(u32::try_from(input).unwrap_or(u32::MAX));
        }
        for (g, members) in members.iter().enumerate() {
            if members.len() != group {
                let found = i64::try_from(members.len()).unwrap_or(i64::MAX);
                return content(format!("the number of inputs of group {g}"), found, format!("a group has {group}"));
            }
        }
        let order = members.concat();
        Ok((!order.is_sorted()).then_some(order))
    }

    fn inconsistent(&self, source: &dyn Source, shape: &[usize]) -> WeightsError {
        let (file, tensor) = (source.file().to_owned(), self.codes.clone());
        WeightsError::TensorShape { file, tensor, found: shape.to_vec(), expected: "what its zeros and scales have".into() }
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// Nibble `i` of a word; 0 where there is no such word.
fn nibble(words: &[u32], at: usize, i: usize) -> u8 {
    (words.get(at).copied().unwrap_or(0) >> (4 * i) & 15) as u8
}
