//! The file of the page, which stays what it was until there is another page.

use std::io;
use std::path::Path;

use crate::error::user_error;
use crate::whole_file;

/// Sees whether a page can be written there, and changes nothing.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    whole_file::check(path).map_err(|error| unwritable(path, error))
}

/// Puts a page in the file's place.
pub(super) fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    whole_file::write(path, page.as_bytes()).map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
    user_error(error, "name another file with --html")
}

#[cfg(test)]
mod tests {
    use std::fs;

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
