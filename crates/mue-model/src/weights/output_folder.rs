//! An output folder that appears whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::CheckpointError;

/// A folder that is filled under a temporary name and takes its place on
/// [`commit`](Self::commit); dropped before that, it vanishes.
///
/// The temporary folder is `.NAME.partial-XXXX`, beside the target. Only a killed process can
/// leave one behind.
#[derive(Debug)]
pub struct OutputFolder {
    target: PathBuf,
    overwrite: bool,
    /// Private to us; holds `content`, and on replacement the folder that was there before.
    staging: TempDir,
    /// Made by an ordinary `mkdir`, so that it has ordinary permissions.
    content: PathBuf,
}

impl OutputFolder {
    /// Starts a folder that will be `target`; makes the folders above it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OutputExists`] if `target` is there, is not an empty folder and
    /// `overwrite` is false; it is never a reason to replace a file.
    /// [`CheckpointError::UnnamedOutput`] and [`CheckpointError::Write`].
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, CheckpointError> {
        let name = target
            .file_name()
            .ok_or_else(|| CheckpointError::UnnamedOutput { path: target.to_path_buf() })?;
        check_target(target, overwrite)?;

        let parent = parent(target);
        fs::create_dir_all(parent).map_err(CheckpointError::write(parent))?;
        let staging = tempfile::Builder::new()
            .prefix(&format!(".{}.partial-", name.display()))
            .tempdir_in(parent)
            .map_err(CheckpointError::write(parent))?;
        let content = staging.path().join("content");
        fs::create_dir(&content).map_err(CheckpointError::write(&content))?;
        Ok(Self { target: target.to_path_buf(), overwrite, staging, content })
    }

    /// Where to write the files meanwhile.
    pub fn path(&self) -> &Path {
        &self.content
    }

    /// Waits until everything is on disk and gives the folder its name.
    ///
    /// What it replaces is moved aside first and deleted last. Between the two renames the
    /// target is absent for a moment, never incomplete.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Write`]; [`CheckpointError::OutputExists`] if something has been put
    /// there meanwhile. The target is then as it was.
    pub fn commit(self) -> Result<(), CheckpointError> {
        check_target(&self.target, self.overwrite)?;
        sync_tree(&self.content).map_err(CheckpointError::write(&self.content))?;

        let previous = self.staging.path().join("previous");
        let replaces = self.overwrite && self.target.is_dir();
        if replaces {
            fs::rename(&self.target, &previous).map_err(CheckpointError::write(&self.target))?;
        } else if self.target.is_dir() {
            fs::remove_dir(&self.target).map_err(CheckpointError::write(&self.target))?; // empty
        }
        if let Err(source) = fs::rename(&self.content, &self.target) {
            if replaces && fs::rename(&previous, &self.target).is_err() {
                let _ = self.staging.keep(); // it holds the only copy of the previous folder
            }
            return Err(CheckpointError::Write { path: self.target, source });
        }

        let parent = parent(&self.target);
        sync(parent).map_err(CheckpointError::write(parent))?;
        self.staging.close().map_err(CheckpointError::write(parent))
    }
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Refuses a file, and a folder with something in it unless `overwrite`.
fn check_target(target: &Path, overwrite: bool) -> Result<(), CheckpointError> {
    let free = match fs::read_dir(target) {
        Ok(mut entries) => overwrite || entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if free { Ok(()) } else { Err(CheckpointError::OutputExists { path: target.to_path_buf() }) }
}

/// Waits until the files below `folder`, and their names, are on disk.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            sync(&entry.path())?;
        }
    }
    sync(folder)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn fill(output: &OutputFolder) {
        fs::write(output.path().join("new"), "new").unwrap();
        fs::create_dir(output.path().join("sub")).unwrap();
        fs::write(output.path().join("sub/deep"), "deep").unwrap();
    }

    #[test]
    fn a_committed_folder_is_whole_and_alone() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("made/on/the/way/out");
        let output = OutputFolder::create(&target, false).unwrap();
        fill(&output);
        assert!(!target.exists());

        output.commit().unwrap();

        assert_eq!(listing(&target), ["new", "sub"]);
        assert_eq!(fs::read_to_string(target.join("sub/deep")).unwrap(), "deep");
        assert_eq!(listing(target.parent().unwrap()), ["out"]);
    }

    #[test]
    fn a_dropped_folder_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let output = OutputFolder::create(&place.path().join("out"), false).unwrap();
        fill(&output);
        assert!(listing(place.path())[0].starts_with(".out.partial-"));

        drop(output);

        assert!(listing(place.path()).is_empty());
    }

    #[test]
    fn an_empty_folder_may_be_taken() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        fs::create_dir(&target).unwrap();
        let output = OutputFolder::create(&target, false).unwrap();
        fill(&output);
        output.commit().unwrap();
        assert_eq!(listing(&target), ["new", "sub"]);
    }

    #[test]
    fn a_full_folder_is_replaced_only_on_request() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "old").unwrap();

        let error = OutputFolder::create(&target, false).unwrap_err();
        assert!(matches!(error, CheckpointError::OutputExists { .. }));

        let output = OutputFolder::create(&target, true).unwrap();
        fill(&output);
        assert_eq!(listing(&target), ["old"]);
        output.commit().unwrap();
        assert_eq!(listing(&target), ["new", "sub"]);
        assert_eq!(listing(place.path()), ["out"]);
    }

    #[test]
    fn a_file_is_never_replaced() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        fs::write(&target, "file").unwrap();
        let error = OutputFolder::create(&target, true).unwrap_err();
        assert!(matches!(error, CheckpointError::OutputExists { .. }));
    }

    #[test]
    fn what_appears_meanwhile_is_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let output = OutputFolder::create(&target, false).unwrap();
        fill(&output);
        fs::create_dir(&target).unwrap();
        fs::write(target.join("theirs"), "theirs").unwrap();

        let error = output.commit().unwrap_err();

        assert!(matches!(error, CheckpointError::OutputExists { .. }));
        assert_eq!(listing(place.path()), ["out"]);
        assert_eq!(listing(&target), ["theirs"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_has_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let (target, other) = (place.path().join("out"), place.path().join("other"));
        OutputFolder::create(&target, false).unwrap().commit().unwrap();
        fs::create_dir(&other).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&other));
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        let error = OutputFolder::create(Path::new("/"), true).unwrap_err();
        assert!(matches!(error, CheckpointError::UnnamedOutput { .. }));
    }
}
