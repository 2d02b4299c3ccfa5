//! A file's bytes as memory, fetched by the system when they are looked at: the one place of this room with `unsafe` code.

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// A file, mapped for reading.
#[derive(Debug)]
pub(super) struct Map {
    file: File,
    bytes: Mmap,
}

impl Map {
    /// Maps the first `size` bytes, which the file must have.
    ///
    /// # Errors
    /// What the system says; a size beyond the address space.
    pub fn new(file: File, size: u64) -> io::Result<Self> {
        let len = usize::try_from(size).map_err(io::Error::other)?;
        #[allow(unsafe_code, reason = "mapping a file; see the proof")]
        // SAFETY: the map is private to this type, read-only, and as long as the file was just found to be; it is unmapped when
        // this value is dropped, and every slice of it borrows this value. What the compiler cannot know is that nobody writes
        // to the file meanwhile. Nothing here depends on it: the bytes are plain numbers and texts, any of which is valid, and
        // no check made on one read is relied upon in another; a header is parsed out of the map once, into values of our own.
        // A file that is cut short is noticed by `bytes` before it is looked at.
        let bytes = unsafe { MmapOptions::new().len(len).map(&file)? };
        Ok(Self { file, bytes })
    }

    /// The bytes, where the file is still as long as it was: beyond its end the system would end this process.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`], or what the system says.
    pub fn bytes(&self) -> io::Result<&[u8]> {
        if self.file.metadata()?.len() < self.bytes.len() as u64 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(&self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_short_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"twelve bytes").unwrap();
        let map = Map::new(file.reopen().unwrap(), 12).unwrap();
        assert_eq!(map.bytes().unwrap(), b"twelve bytes");
        file.as_file().set_len(11).unwrap();
        assert_eq!(map.bytes().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_empty_file_is_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Map::new(file.reopen().unwrap(), 0).unwrap().bytes().unwrap(), b"");
    }
}
