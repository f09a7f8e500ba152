//! Which files of a folder make up its checkpoint.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::CheckpointError;

/// Names that Hugging Face tools write, the preferred first.
const NAMES: [(&str, Layout); 4] = [
    ("model.safetensors", Layout::Whole),
    ("model.safetensors.index.json", Layout::Sharded),
    ("pytorch_model.bin", Layout::Whole),
    ("pytorch_model.bin.index.json", Layout::Sharded),
];

const LOOKED_FOR: &str = "model.safetensors, model.safetensors.index.json, pytorch_model.bin, \
                          pytorch_model.bin.index.json, and one single .pt or .pth file";

#[derive(Clone, Copy)]
enum Layout {
    Whole,
    Sharded,
}

/// The checkpoint of a folder.
#[derive(Debug, PartialEq)]
pub(super) enum Chosen {
    /// One file with everything.
    Whole(PathBuf),
    /// Tensor names by shard.
    Sharded(BTreeMap<PathBuf, Vec<String>>),
}

/// Finds the checkpoint of `folder`: the first of the known names, else its only `.pt` or
/// `.pth` file.
pub(super) fn choose(folder: &Path) -> Result<Chosen, CheckpointError> {
    for (name, layout) in NAMES {
        let path = folder.join(name);
        if path.is_file() {
            return match layout {
                Layout::Whole => Ok(Chosen::Whole(path)),
                Layout::Sharded => read_index(&path).map(Chosen::Sharded),
            };
        }
    }
    let mut found = torch_files(folder).map_err(CheckpointError::read(folder))?;
    match found.len() {
        1 => Ok(Chosen::Whole(found.remove(0))),
        0 => Err(CheckpointError::NothingInFolder {
            folder: folder.to_path_buf(),
            looked_for: LOOKED_FOR,
        }),
        _ => Err(CheckpointError::AmbiguousFolder {
            folder: folder.to_path_buf(),
            found: found
                .iter()
                .filter_map(|path| path.file_name())
                .map(|name| name.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn torch_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "pt" || e == "pth") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Deserialize)]
struct Index {
    /// File name by tensor name.
    weight_map: BTreeMap<String, String>,
}

fn read_index(path: &Path) -> Result<BTreeMap<PathBuf, Vec<String>>, CheckpointError> {
    let file = File::open(path).map_err(CheckpointError::read(path))?;
    let index: Index = serde_json::from_reader(BufReader::new(file))
        .map_err(|source| CheckpointError::ShardIndex { path: path.to_path_buf(), source })?;

    let mut shards = BTreeMap::<PathBuf, Vec<String>>::new();
    for (tensor, shard) in index.weight_map {
        let mut parts = Path::new(&shard).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            return Err(CheckpointError::ShardName { path: path.to_path_buf(), shard });
        };
        shards.entry(path.with_file_name(shard)).or_default().push(tensor);
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn safetensors_come_before_pytorch_files() {
        let folder = folder(&["pytorch_model.bin", "model.safetensors", "optimizer.pt"]);
        let expected = Chosen::Whole(folder.path().join("model.safetensors"));
        assert_eq!(choose(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_single_torch_file_needs_no_special_name() {
        let folder = folder(&["checkpoint_best.pt", "dict.txt"]);
        let expected = Chosen::Whole(folder.path().join("checkpoint_best.pt"));
        assert_eq!(choose(folder.path()).unwrap(), expected);
    }

    #[test]
    fn several_torch_files_are_ambiguous() {
        let folder = folder(&["checkpoint_last.pt", "checkpoint_best.pt"]);
        let message = choose(folder.path()).unwrap_err().to_string();
        assert!(message.contains("checkpoint_best.pt, checkpoint_last.pt"), "{message}");
    }

    #[test]
    fn an_empty_folder_says_what_was_looked_for() {
        let message = choose(folder(&["dict.txt"]).path()).unwrap_err().to_string();
        assert!(message.contains("model.safetensors") && message.contains(".pt"), "{message}");
    }

    #[test]
    fn an_index_lists_the_tensors_of_each_shard() {
        let folder = folder(&[]);
        let index =
            r#"{"metadata":{"total_size":1},"weight_map":{"a":"1.bin","b":"2.bin","c":"1.bin"}}"#;
        fs::write(folder.path().join("pytorch_model.bin.index.json"), index).unwrap();

        let expected = BTreeMap::from([
            (folder.path().join("1.bin"), vec!["a".to_owned(), "c".to_owned()]),
            (folder.path().join("2.bin"), vec!["b".to_owned()]),
        ]);
        assert_eq!(choose(folder.path()).unwrap(), Chosen::Sharded(expected));
    }

    #[test]
    fn a_shard_outside_the_folder_is_refused() {
        for shard in ["../secret.bin", "/etc/passwd", "sub/1.bin", "..", ""] {
            let folder = folder(&[]);
            let index = format!(r#"{{"weight_map":{{"a":"{shard}"}}}}"#);
            fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
            let error = choose(folder.path()).unwrap_err();
            assert!(matches!(error, CheckpointError::ShardName { .. }), "{shard}: {error}");
        }
    }
}
