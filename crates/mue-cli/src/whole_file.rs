//! Files that are replaced whole: a reader sees the old one or the new one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Sees whether a file can be written there, and changes nothing.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    // Whoever reads a pipe would take an attempt for the file.
    let Some(file) = replaceable(path)? else { return Ok(()) };
    let beside = beside(&file);
    File::create(&beside).and_then(|_| fs::remove_file(&beside))
}

/// Writes beside the file, and then puts that in its place; a link to a file leads there as before. Devices and
/// pipes, which nothing can take the place of, are written to.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(file) = replaceable(path)? else { return fs::write(path, bytes) };
    let beside = beside(&file);
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &file));
    // Nobody misses half a file, and why there is no whole one is told.
    written.inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// The file that a path leads to, or that can be made there; none if it is a device or a pipe.
fn replaceable(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => fs::canonicalize(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(path.to_owned())),
        Err(error) => Err(error),
    }
}

/// A name that no other run has.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn a_link_leads_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (link, deep) = (folder.path().join("link"), folder.path().join("deep"));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), "old").unwrap();
        symlink("deep/file", &link).unwrap();
        check(&link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(deep.join("file")).unwrap(), "new");
        assert_eq!(fs::read_dir(deep).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let end = pipe.clone();
        let reader = thread::spawn(move || fs::read_to_string(end));
        check(&pipe).unwrap();
        write(&pipe, b"page").unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap().unwrap(), "page");
    }
}
