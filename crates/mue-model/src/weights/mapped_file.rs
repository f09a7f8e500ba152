//! The one place here that needs `unsafe`: mapping a file into memory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// A file in memory, read-only; its pages are read from disk when they are first touched.
///
/// The file must not be changed or shortened while its bytes are in use.
#[derive(Clone, Debug)]
pub(super) struct MappedFile(Arc<Mmap>);

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl MappedFile {
    /// Maps the file `path`.
    #[allow(unsafe_code)]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is read-only, is owned by everything that views it, the last of
        // which unmaps it, and is only ever viewed as `u8`, for which every value is valid. What
        // is left is a change of the file from outside: our own writers never change a finished
        // file (they write beside it and rename), a rename or removal keeps the mapped inode
        // alive, a write by somebody else shows as wrong numbers, and a truncation ends the
        // process with SIGBUS instead of reading foreign memory. Every reader of mapped files
        // accepts that.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(Arc::new(map)))
    }

    /// Its bytes, which keep it mapped.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Lets go of the pages of some of its bytes, which have been copied: they are read again if
    /// they are touched again. Of other bytes, nothing happens.
    #[cfg(unix)]
    #[allow(unsafe_code)]
    pub(super) fn release(&self, bytes: &[u8]) {
        let start = bytes.as_ptr().addr().checked_sub(self.0.as_ptr().addr());
        let Some(start) = start.filter(|start| start + bytes.len() <= self.0.len()) else { return };
        // SAFETY: the range is inside the mapping, which is of a file and read-only: whoever
        // still views the pages finds the file's bytes in them again.
        let released = unsafe {
            self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, bytes.len())
        };
        // It is advice: a system that does not take it keeps more in memory.
        drop(released);
    }

    /// Nothing, where the system has no such advice.
    #[cfg(not(unix))]
    pub(super) fn release(&self, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_like_a_read_one() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let content: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();

        let mapped = MappedFile::open(&path).unwrap().bytes();

        assert_eq!(mapped, std::fs::read(&path).unwrap());
        assert_eq!(mapped.slice(123..4567), content[123..4567]);
    }

    #[test]
    fn a_slice_outlives_the_file_name() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, b"0123456789").unwrap();
        let slice = MappedFile::open(&path).unwrap().bytes().slice(2..5);

        path.close().unwrap();

        assert_eq!(slice, b"234"[..]);
    }

    #[test]
    fn what_was_released_is_read_again() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        let bytes = mapped.bytes();

        mapped.release(&bytes.slice(5_000..390_000));
        mapped.release(&content);

        assert_eq!(bytes, content);
    }
}
