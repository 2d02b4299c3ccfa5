//! Files that are written whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file to be written, in a folder known to take one.
#[derive(Debug)]
pub struct WholeFile(PathBuf);

impl WholeFile {
    /// Fails now where the file could not be written later; what is there stays as it is. A link is followed, and what
    /// is no regular file (a folder, a device, a pipe) is refused.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::InvalidInput`] for what is no regular file.
    pub fn check(path: &Path) -> io::Result<Self> {
        let target = if path.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = Self(target);
        file.temporary()?;
        Ok(file)
    }

    /// Writes the parts, one after the other, to a temporary file beside it, which then takes its name.
    ///
    /// # Errors
    /// Whatever the system says; the file is then as it was.
    pub fn write<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        self.write_with(|error| error, |file| parts.into_iter().try_for_each(|part| file.write_all(part)))
    }

    /// The same with whatever `fill` writes; `failed` makes an error of what the system says.
    ///
    /// # Errors
    /// What `fill` and `failed` return; the file is then as it was, and nothing is beside it.
    pub fn write_with<E>(&self, failed: impl Fn(io::Error) -> E, fill: impl FnOnce(&mut dyn io::Write) -> Result<(), E>) -> Result<(), E> {
        let mut file = io::BufWriter::new(self.temporary().map_err(&failed)?);
        fill(&mut file)?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(&self.0).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // A temporary file is private by default; this one is as readable as any other.
        #[cfg(unix)]
        builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        builder.prefix(".ffwd-").tempfile_in(folder)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_devices_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        WholeFile::check(&link).unwrap().write([&b"ne"[..], b"w"]).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(WholeFile::check(&socket).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(WholeFile::check(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
