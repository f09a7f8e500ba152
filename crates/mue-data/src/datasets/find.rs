//! Which file of a folder is meant, and where its pictures are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DataError;
use super::sample::Task;

/// The annotation file at a path: the file itself, or the only one that a folder has.
pub(super) fn annotations(path: &Path, task: Task) -> Result<PathBuf, DataError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let mut found = list(path, task)?;
    let below = path.join("annotations");
    if below.is_dir() {
        found.extend(list(&below, task)?);
    }
    match found.len() {
        0 => Err(DataError::NoAnnotations {
            folder: path.to_owned(),
            expected: match task {
                Task::Caption => "captions_*.json or dataset_*.json",
                Task::Entailment => "*.jsonl",
            },
        }),
        1 => Ok(found.remove(0)),
        _ => {
            let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
            let names = found.iter().filter_map(name).collect();
            Err(DataError::SeveralAnnotations { folder: path.to_owned(), names })
        }
    }
}

fn list(folder: &Path, task: Task) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let path = entry.map_err(DataError::read(folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let fits = match task {
            Task::Caption => {
                (name.starts_with("captions") || name.starts_with("dataset"))
                    && name.ends_with(".json")
            }
            Task::Entailment => name.ends_with(".jsonl"),
        };
        if fits {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Folders in which the pictures of an annotation file may be: beside it or one above, in a
/// folder that is called as data sets call theirs.
pub(super) fn picture_folders(annotations: &Path, given: Option<&Path>) -> Arc<[PathBuf]> {
    if let Some(given) = given {
        return Arc::new([given.to_owned()]);
    }
    let folder = match annotations.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // COCO's captions_val2014.json goes with the folder val2014.
    let stem = annotations.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let part = stem.and_then(|stem| stem.rsplit_once('_').map(|(_, part)| part.to_owned()));
    let mut folders = Vec::new();
    for base in [folder.to_owned(), folder.join("..")] {
        folders.push(base.join("images"));
        folders.extend(part.as_ref().map(|part| base.join(part)));
        folders.push(base.join("flickr30k-images"));
        folders.push(base);
    }
    folders.retain(|folder| folder.is_dir());
    if folders.is_empty() {
        folders.push(folder.to_owned());
    }
    folders.into()
}
