//! GGUF's metadata: typed values by key.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::Cursor;
use crate::weights::error::{Result, WeightsError};

/// Arrays within arrays beyond this are refused; real files have none.
const DEEPEST: u32 = 4;

/// One value of the metadata.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Unsigned, 8 bits.
    U8(u8),
    /// Signed, 8 bits.
    I8(i8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Signed, 16 bits.
    I16(i16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Signed, 32 bits.
    I32(i32),
    /// Binary32.
    F32(f32),
    /// True or false.
    Bool(bool),
    /// Text.
    String(String),
    /// How many elements an array has. Arrays are vocabularies, often longer than the weights of a layer: they are checked
    /// and passed over.
    Array(u64),
    /// Unsigned, 64 bits.
    U64(u64),
    /// Signed, 64 bits.
    I64(i64),
    /// Binary64.
    F64(f64),
}

const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a value, at least.
fn shortest(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        STRING | 10..=12 => Some(8),
        ARRAY => Some(4 + 8),
        _ => None,
    }
}

/// A value, and where its type and what follows are in the file.
#[derive(Debug)]
pub(super) struct Pair {
    pub value: Value,
    pub place: Range<u64>,
}

impl Pair {
    /// The value as it is stored in a file of these bytes.
    pub fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let place = usize::try_from(self.place.start).ok().zip(usize::try_from(self.place.end).ok());
        place.and_then(|(start, end)| file.get(start..end)).unwrap_or_default()
    }
}

impl Value {
    /// The type and the value as a file has them; `None` for an array, of which only the length is kept.
    pub(super) fn stored(&self) -> Option<Vec<u8>> {
        let (kind, bytes) = match self {
            Self::U8(v) => (0_u32, v.to_le_bytes().to_vec()),
            Self::I8(v) => (1, v.to_le_bytes().to_vec()),
            Self::U16(v) => (2, v.to_le_bytes().to_vec()),
            Self::I16(v) => (3, v.to_le_bytes().to_vec()),
            Self::U32(v) => (4, v.to_le_bytes().to_vec()),
            Self::I32(v) => (5, v.to_le_bytes().to_vec()),
            Self::F32(v) => (6, v.to_le_bytes().to_vec()),
            Self::Bool(v) => (BOOL, vec![u8::from(*v)]),
            Self::String(v) => (STRING, [&(v.len() as u64).to_le_bytes()[..], v.as_bytes()].concat()),
            Self::Array(_) => return None,
            Self::U64(v) => (10, v.to_le_bytes().to_vec()),
            Self::I64(v) => (11, v.to_le_bytes().to_vec()),
            Self::F64(v) => (12, v.to_le_bytes().to_vec()),
        };
        Some([&kind.to_le_bytes()[..], &bytes].concat())
    }
}

pub(super) fn read_metadata(cursor: &mut Cursor, pairs: u64) -> Result<BTreeMap<String, Pair>> {
    let mut metadata = BTreeMap::new();
    for _ in 0..pairs {
        let key = cursor.string("a metadata key")?;
        let start = cursor.position();
        let kind = cursor.u32("a metadata value's type")?;
        let value = read_value(cursor, &key, kind)?;
        if metadata.contains_key(&key) {
            return Err(WeightsError::Duplicate { file: cursor.file.to_owned(), what: "metadata key", name: key });
        }
        metadata.insert(key, Pair { value, place: start..cursor.position() });
    }
    Ok(metadata)
}

fn read_value(cursor: &mut Cursor, key: &str, kind: u32) -> Result<Value> {
    let what = "a metadata value";
    Ok(match kind {
        0 => Value::U8(u8::from_le_bytes(cursor.array(what)?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array(what)?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array(what)?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array(what)?)),
        4 => Value::U32(cursor.u32(what)?),
        5 => Value::I32(i32::from_le_bytes(cursor.array(what)?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array(what)?)),
        BOOL => match cursor.array(what)? {
            [byte @ (0 | 1)] => Value::Bool(byte == 1),
            [byte] => return Err(wrong(cursor, key, format!("is a bool of {byte}, neither 0 nor 1"))),
        },
        STRING => Value::String(cursor.string(what)?),
        ARRAY => Value::Array(skip_array(cursor, key, 1)?),
        10 => Value::U64(cursor.u64(what)?),
        11 => Value::I64(i64::from_le_bytes(cursor.array(what)?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array(what)?)),
        _ => return Err(wrong(cursor, key, format!("has unknown type {kind}, beyond 12"))),
    })
}

fn skip_array(cursor: &mut Cursor, key: &str, depth: u32) -> Result<u64> {
    let what = "a metadata array";
    if depth > DEEPEST {
        return Err(wrong(cursor, key, format!("nests arrays {depth} deep, more than {DEEPEST}")));
    }
    let kind = cursor.u32(what)?;
    let length = cursor.u64(what)?;
    let Some(each) = shortest(kind) else {
        return Err(wrong(cursor, key, format!("is an array of unknown type {kind}, beyond 12")));
    };
    cursor.room_for("array elements", length, each)?;
    match kind {
        ARRAY => {
            for _ in 0..length {
                skip_array(cursor, key, depth + 1)?;
            }
        }
        STRING => {
            for _ in 0..length {
                let bytes = cursor.u64(what)?;
                cursor.take(bytes, what)?;
            }
        }
        // The product cannot overflow: it is within the file.
        _ => {
            cursor.take(length.saturating_mul(each), what)?;
        }
    }
    Ok(length)
}

fn wrong(cursor: &Cursor, key: &str, wrong: String) -> WeightsError {
    WeightsError::Metadata { file: cursor.file.to_owned(), key: key.to_owned(), wrong }
}
