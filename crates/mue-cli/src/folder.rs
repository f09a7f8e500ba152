//! The folder that `--out` names.

use std::path::Path;

use crate::error::user_error;

/// Makes a folder for results, with those above it.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("cannot make {}", folder.display()));
        user_error(error, "--out names a folder")
    })
}
