//! Folders with annotation files to read.

use std::path::PathBuf;

use mue_data::datasets::{DataError, Dataset, DatasetOptions, Task};
use tempfile::TempDir;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and the folders above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Writes a picture of one colour.
    pub(crate) fn picture(&self, name: &str, grey: u8) -> &Self {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::GrayImage::from_pixel(4, 3, image::Luma([grey]));
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        self.write(name, bytes.into_inner())
    }

    pub(crate) fn open(&self, name: &str, task: Task) -> Result<Dataset, DataError> {
        self.open_with(name, task, &DatasetOptions::default())
    }

    pub(crate) fn open_with(
        &self,
        name: &str,
        task: Task,
        options: &DatasetOptions,
    ) -> Result<Dataset, DataError> {
        Dataset::open(&self.path(name), task, options)
    }
}

/// An error with its causes.
pub(crate) fn full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", full(cause)),
        None => error.to_string(),
    }
}
