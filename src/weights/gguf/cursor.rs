//! Reading forward, with what is left of the file known before anything is allocated.

use std::path::Path;

use crate::weights::error::{Result, WeightsError};

/// A file's bytes, and how many of them have been read.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    pub file: &'a Path,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], file: &'a Path) -> Self {
        Self { bytes, at: 0, file }
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at as u64
    }

    fn left(&self) -> u64 {
        self.bytes.len().saturating_sub(self.at) as u64
    }

    /// Refuses a count of things of at least `each` bytes that the rest of the file cannot hold.
    pub fn room_for(&self, what: &str, claimed: u64, each: u64) -> Result<()> {
        let room = self.left() / each.max(1);
        if claimed <= room {
            return Ok(());
        }
        Err(WeightsError::Count { file: self.file.to_owned(), what: what.to_owned(), claimed, room })
    }

    /// The next bytes, or passing over them.
    pub fn take(&mut self, needs: u64, what: &str) -> Result<&'a [u8]> {
        let end = usize::try_from(needs).ok().and_then(|needs| self.at.checked_add(needs));
        let taken = end.and_then(|end| Some((end, self.bytes.get(self.at..end)?)));
        let Some((end, bytes)) = taken else {
            let (file, what) = (self.file.to_owned(), what.to_owned());
            return Err(WeightsError::Truncated { file, what, needs, has: self.left() });
        };
        self.at = end;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N as u64, what)?);
        Ok(bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length and as many bytes of UTF-8.
    pub fn string(&mut self, what: &str) -> Result<String> {
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|e| WeightsError::NotUtf8 {
            file: self.file.to_owned(),
            what: what.to_owned(),
            at: e.valid_up_to(),
            len: bytes.len(),
        })
    }
}
