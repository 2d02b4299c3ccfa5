//! Reading forward, with what is left of the file known before anything is read or allocated.

use std::io::{self, Read};
use std::path::Path;

use crate::weights::error::{Result, WeightsError};

/// A reader that knows how many bytes it has left.
pub(super) struct Cursor<'a, R> {
    reader: R,
    size: u64,
    left: u64,
    pub file: &'a Path,
}

impl<'a, R: Read> Cursor<'a, R> {
    pub fn new(reader: R, size: u64, file: &'a Path) -> Self {
        Self { reader, size, left: size, file }
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.size.saturating_sub(self.left)
    }

    /// Refuses a count of things of at least `each` bytes that the rest of the file cannot hold.
    pub fn room_for(&self, what: &str, claimed: u64, each: u64) -> Result<()> {
        let room = self.left / each.max(1);
        if claimed <= room {
            return Ok(());
        }
        Err(WeightsError::Count { file: self.file.to_owned(), what: what.to_owned(), claimed, room })
    }

    fn take(&mut self, needs: u64, what: &str) -> Result<()> {
        let has = self.left;
        self.left = has.checked_sub(needs).ok_or_else(|| WeightsError::Truncated {
            file: self.file.to_owned(),
            what: what.to_owned(),
            needs,
            has,
        })?;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> WeightsError {
        WeightsError::Io { file: self.file.to_owned(), doing: "read", error }
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(N as u64, what)?;
        self.reader.read_exact(&mut bytes).map_err(|e| self.failed(e))?;
        Ok(bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length and as many bytes of UTF-8; the memory grows with what is read, not with what is claimed.
    pub fn string(&mut self, what: &str) -> Result<String> {
        let length = self.u64(what)?;
        self.take(length, what)?;
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
        if (read as u64) < length {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        String::from_utf8(bytes).map_err(|e| WeightsError::NotUtf8 {
            file: self.file.to_owned(),
            what: what.to_owned(),
            at: e.utf8_error().valid_up_to(),
            len: e.as_bytes().len(),
        })
    }

    /// Passes over bytes that nobody needs.
    pub fn skip(&mut self, bytes: u64, what: &str) -> Result<()> {
        self.take(bytes, what)?;
        let skipped = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink()).map_err(|e| self.failed(e))?;
        if skipped < bytes { Err(self.failed(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }
}
