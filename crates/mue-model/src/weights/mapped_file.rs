//! The one place here that needs `unsafe`: mapping a file into memory.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps `path` read-only; the pages are read from disk when they are first touched.
///
/// The file must not be changed or shortened while the bytes are in use.
#[allow(unsafe_code)]
pub(super) fn map_file(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    // SAFETY: the mapping is read-only, is owned by the returned `Bytes`, which unmaps it with
    // its last slice, and is only ever viewed as `u8`, for which every value is valid. What is
    // left is a change of the file from outside: our own writers never change a finished file
    // (they write beside it and rename), a rename or removal keeps the mapped inode alive, a
    // write by somebody else shows as wrong numbers, and a truncation ends the process with
    // SIGBUS instead of reading foreign memory. Every reader of mapped files accepts that.
    let map = unsafe { Mmap::map(&file) }?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_like_a_read_one() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let content: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &content).unwrap();

        let mapped = map_file(&path).unwrap();

        assert_eq!(mapped, std::fs::read(&path).unwrap());
        assert_eq!(mapped.slice(123..4567), content[123..4567]);
    }

    #[test]
    fn a_slice_outlives_the_file_name() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, b"0123456789").unwrap();
        let slice = map_file(&path).unwrap().slice(2..5);

        path.close().unwrap();

        assert_eq!(slice, b"234"[..]);
    }
}
