//! The target folder, which comes into being whole or not at all.
//!
//! Downloads are kept in `TARGET.partial` beside it, each under a name made of its own and its
//! checksum, so that a later run finds them again and never mixes two commits.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::PullError;
use super::hub::RemoteFile;
use super::select::relative_path;

/// Where the model folder shall be.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    replace: bool,
}

impl Target {
    /// Takes `path` if nothing is there, or if it is a folder that the user wants replaced.
    pub(super) fn new(path: &Path, replace: bool) -> Result<Self, PullError> {
        let path = std::path::absolute(path).map_err(PullError::disk("find", path))?;
        if path.file_name().is_none() {
            return Err(PullError::TargetNotFolder(path));
        }
        let target = Self { path, replace };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<(), PullError> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.is_dir() => Err(PullError::TargetNotFolder(self.path.clone())),
            Ok(_) if !self.replace => Err(PullError::TargetExists(self.path.clone())),
            _ => Ok(()),
        }
    }
}

/// `TARGET.partial`, held by this process alone.
#[derive(Debug)]
pub(super) struct PartialFolder {
    target: Target,
    path: PathBuf,
    lock: File,
}

impl PartialFolder {
    /// Opens the downloads of earlier runs, or starts with none.
    pub(super) fn open(target: Target) -> Result<Self, PullError> {
        let mut name = target.path.file_name().map(OsString::from).unwrap_or_default();
        name.push(".partial");
        let path = target.path.with_file_name(name);
        fs::create_dir_all(&path).map_err(PullError::disk("create", &path))?;
        let lock = path.join("lock");
        let lock = File::create(&lock).map_err(PullError::disk("create", &lock))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { target, path, lock }),
            Err(TryLockError::WouldBlock) => Err(PullError::Busy(target.path)),
            Err(TryLockError::Error(source)) => Err(PullError::disk("lock", &path)(source)),
        }
    }

    /// Where to download `file` to.
    pub(super) fn download_path(&self, file: &RemoteFile) -> PathBuf {
        let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
        self.path.join(format!("{name}.{}", file.checksum.hex()))
    }

    /// Makes the target of the downloads of `files`, all complete, and removes this folder.
    ///
    /// # Errors
    ///
    /// Leaves the target as it was.
    pub(super) fn publish(self, files: &[RemoteFile]) -> Result<(), PullError> {
        let model = self.assemble(files)?;
        self.target.check()?;
        let target = &self.target.path;
        let replaced = self.path.join("replaced");
        let existed = target.exists();
        if existed {
            // Of a run that was stopped when the target was there already.
            if replaced.exists() {
                fs::remove_dir_all(&replaced).map_err(PullError::disk("remove", &replaced))?;
            }
            fs::rename(target, &replaced).map_err(PullError::disk("replace", target))?;
        }
        if let Err(error) = fs::rename(&model, target) {
            if existed {
                fs::rename(&replaced, target).map_err(PullError::disk("restore", target))?;
            }
            return Err(PullError::disk("create", target)(error));
        }
        // Windows removes no folder with an open file.
        drop(self.lock);
        fs::remove_dir_all(&self.path).map_err(PullError::disk("remove", &self.path))
    }

    /// Gives the downloads their own names, in a folder of their own.
    fn assemble(&self, files: &[RemoteFile]) -> Result<PathBuf, PullError> {
        let model = self.path.join("model");
        if model.exists() {
            fs::remove_dir_all(&model).map_err(PullError::disk("remove", &model))?;
        }
        for file in files {
            let name = &file.name;
            let path = relative_path(name).ok_or_else(|| PullError::UnsafeName(name.to_owned()))?;
            let path = model.join(path);
            let parent = path.parent().unwrap_or(&model);
            fs::create_dir_all(parent).map_err(PullError::disk("create", parent))?;
            fs::rename(self.download_path(file), &path)
                .map_err(PullError::disk("create", &path))?;
        }
        Ok(model)
    }
}
