//! Arrays out of a GGUF file's metadata, which `ffwd::weights` passes over: there they are vocabularies, here they are wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::{Result, fail};

/// An array of a kind that tokenizers need.
#[derive(Debug)]
pub enum Array {
    Texts(Vec<String>),
    Integers(Vec<i32>),
}

const I32: u32 = 5;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Every array of texts and of i32. The file's header has been checked by `ffwd::weights::read_gguf` before.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let mut file = Header(BufReader::new(File::open(path)?));
    file.skip(4 + 4 + 8)?;
    let pairs = file.u64()?;
    let mut arrays = BTreeMap::new();
    for _ in 0..pairs {
        let key = file.string()?;
        let kind = file.u32()?;
        if kind == ARRAY {
            if let Some(array) = file.array()? {
                arrays.insert(key, array);
            }
        } else {
            file.skip_value(kind)?;
        }
    }
    Ok(arrays)
}

struct Header(BufReader<File>);

impl Header {
    fn u32(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn string(&mut self) -> Result<String> {
        let length = self.u64()?;
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes)?)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        std::io::copy(&mut (&mut self.0).take(bytes), &mut std::io::sink())?;
        Ok(())
    }

    fn skip_value(&mut self, kind: u32) -> Result<()> {
        match kind {
            STRING => self.string().map(drop),
            ARRAY => self.array().map(drop),
            _ => self.skip(size(kind)?),
        }
    }

    fn array(&mut self) -> Result<Option<Array>> {
        let (kind, length) = (self.u32()?, self.u64()?);
        Ok(match kind {
            STRING => Some(Array::Texts((0..length).map(|_| self.string()).collect::<Result<_>>()?)),
            I32 => Some(Array::Integers((0..length).map(|_| Ok(self.u32()?.cast_signed())).collect::<Result<_>>()?)),
            _ => {
                (0..length).try_for_each(|_| self.skip_value(kind))?;
                None
            }
        })
    }
}

/// Bytes of a value of one of the other kinds.
fn size(kind: u32) -> Result<u64> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => fail(format!("metadata of unknown type {kind}, beyond 12")),
    }
}
