//! GGUF's tensor infos: names, shapes, kinds and places.

use std::collections::BTreeMap;
use std::path::Path;

use super::cursor::Cursor;
use super::kinds::{Layout, encoding, layout};
use crate::weights::error::{Result, WeightsError};
use crate::weights::tensors::{Encoding, Entry};

/// ggml's GGML_MAX_DIMS.
pub(super) const MOST_DIMENSIONS: u32 = 4;

/// A tensor as its info describes it.
struct Info {
    name: String,
    /// The fastest dimension first, as in the file.
    dims: Vec<u64>,
    encoding: Encoding,
    /// From the start of the data.
    offset: u64,
}

pub(super) fn read_infos(cursor: &mut Cursor, count: u64, alignment: u64) -> Result<BTreeMap<String, Entry>> {
    // The metadata before them has used up some of the room they were held against.
    cursor.room_for("tensors", count, super::SHORTEST_INFO)?;
    let mut infos = Vec::new();
    for _ in 0..count {
        infos.push(read_info(cursor)?);
    }
    let (file, size) = (cursor.file, cursor.size());
    let data = cursor.position().checked_next_multiple_of(alignment);
    let mut entries = BTreeMap::new();
    for info in infos {
        let entry = place(&info, data, alignment, size, file)?;
        if entries.contains_key(&info.name) {
            return Err(WeightsError::Duplicate { file: file.to_owned(), what: "tensor", name: info.name });
        }
        entries.insert(info.name, entry);
    }
    no_overlap(&entries, file)?;
    Ok(entries)
}

fn read_info(cursor: &mut Cursor) -> Result<Info> {
    let name = cursor.string("a tensor's name")?;
    let count = cursor.u32("a tensor's dimensions")?;
    if count > MOST_DIMENSIONS {
        let (file, what) = (cursor.file.to_owned(), format!("dimensions of tensor {name:?}"));
        return Err(WeightsError::Count { file, what, claimed: u64::from(count), room: u64::from(MOST_DIMENSIONS) });
    }
    let mut dims = Vec::new();
    for _ in 0..count {
        dims.push(cursor.u64("a tensor's dimensions")?);
    }
    let encoding = encoding(cursor.u32("a tensor's type")?);
    let offset = cursor.u64("a tensor's offset")?;
    Ok(Info { name, dims, encoding, offset })
}

/// Holds one tensor against the file. `data` is where the data starts.
fn place(info: &Info, data: Option<u64>, alignment: u64, size: u64, file: &Path) -> Result<Entry> {
    let (owned, tensor) = (|| file.to_owned(), || info.name.clone());
    let row_major = || info.dims.iter().rev().copied().collect::<Vec<u64>>();
    if info.dims.contains(&0) {
        return Err(WeightsError::ZeroDimension { file: owned(), tensor: tensor(), shape: row_major() });
    }
    let too_large = || WeightsError::TooLarge { file: owned(), tensor: tensor(), shape: row_major() };
    let elements = info.dims.iter().try_fold(1_u64, |n, d| n.checked_mul(*d)).ok_or_else(too_large)?;
    let shape: Vec<usize> = row_major().into_iter().map(usize::try_from).collect::<std::result::Result<_, _>>().map_err(|_| too_large())?;
    let bytes = match layout(&info.encoding) {
        Some(Layout { len, size, .. }) => {
            let row = info.dims.first().copied().unwrap_or(1);
            if !row.is_multiple_of(len) {
                let kind = info.encoding.to_string();
                return Err(WeightsError::PartialBlock { file: owned(), tensor: tensor(), kind, row, block: len });
            }
            (elements / len).checked_mul(size).ok_or_else(too_large)?
        }
        // Its size is not known: only where it starts is held against the file.
        None => 0,
    };
    if !info.offset.is_multiple_of(alignment) {
        return Err(WeightsError::Misaligned { file: owned(), tensor: tensor(), offset: info.offset, alignment });
    }
    let start = data.and_then(|data| data.checked_add(info.offset));
    let end = start.and_then(|start| start.checked_add(bytes));
    match (start, end) {
        (Some(offset), Some(end)) if end <= size => Ok(Entry { shape, encoding: info.encoding.clone(), offset, bytes }),
        _ => Err(WeightsError::PastEnd { file: owned(), tensor: tensor(), start: start.unwrap_or(u64::MAX), bytes, size }),
    }
}

fn no_overlap(entries: &BTreeMap<String, Entry>, file: &Path) -> Result<()> {
    let mut placed: Vec<_> = entries.iter().collect();
    placed.sort_by_key(|(_, entry)| (entry.offset, entry.bytes));
    for ((tensor, a), (other, b)) in placed.iter().zip(placed.iter().skip(1)) {
        let end = a.offset.saturating_add(a.bytes);
        if end > b.offset {
            let (tensor, other) = ((*tensor).clone(), (*other).clone());
            return Err(WeightsError::Overlap { file: file.to_owned(), tensor, other, end, start: b.offset });
        }
    }
    Ok(())
}
