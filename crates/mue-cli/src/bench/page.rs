//! The file of the page, which stays what it was until there is another page.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::user_error;

/// Sees whether a page can be written there, and changes nothing.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Err(unwritable(path, io::ErrorKind::IsADirectory.into()));
    }
    let beside = beside(path);
    let tried = File::create(&beside).and_then(|_| fs::remove_file(&beside));
    tried.map_err(|error| unwritable(path, error))
}

/// Writes a page beside the file, and then puts it in its place.
pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    let beside = beside(path);
    let written = fs::write(&beside, page).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // Nobody misses half a page, and why there is no whole one is told.
        drop(fs::remove_file(&beside));
        unwritable(path, error)
    })
}

/// A name that no other run has.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
    user_error(error, "name another file with --html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stays_until_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.html");
        fs::write(&path, "old").unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("missing/bench.html")] {
            let error = check(&path).unwrap_err().to_string();
            assert_eq!(error, format!("cannot write {}", path.display()));
        }
    }
}
