//! Opening a checkpoint, whatever its format.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::error::CheckpointError;
use super::folder::{self, Chosen};
use super::names::{self, CanonicalWeights};
use super::tensor::RawTensor;
use super::{safetensors_file, torch_file};

/// The named tensors of a checkpoint, their data still in its files.
///
/// The files must not be changed while the checkpoint is in use.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, RawTensor>,
}

impl Checkpoint {
    /// Opens a file, or the checkpoint of a folder.
    ///
    /// A file's format is told by its content: safetensors, PyTorch zip, or the PyTorch format
    /// before 1.6. In a PyTorch file, a state dict under `model` (fairseq) or `state_dict` is
    /// taken alone. A folder may hold `model.safetensors`, `pytorch_model.bin`, either one
    /// sharded with its index, or else one single `.pt` or `.pth` file; the first of these is
    /// taken, and [`files`](Self::files) says which.
    ///
    /// Reads headers only.
    ///
    /// # Errors
    ///
    /// Anything in [`CheckpointError`] about reading: missing, unknown or damaged files, an
    /// empty or ambiguous folder, shards that contradict their index.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = path.metadata().map_err(CheckpointError::read(path))?;
        if !metadata.is_dir() {
            return Self::open_file(path.to_path_buf());
        }
        match folder::choose(path)? {
            Chosen::Whole(file) => Self::open_file(file),
            Chosen::Sharded(shards) => Self::open_shards(shards),
        }
    }

    /// The tensors of a safetensors file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// If the bytes are not such a file.
    pub fn from_safetensors(name: &Path, bytes: &Bytes) -> Result<Self, CheckpointError> {
        let tensors = safetensors_file::parse(name, bytes)?;
        Ok(Self { files: vec![name.to_owned()], tensors })
    }

    fn open_file(path: PathBuf) -> Result<Self, CheckpointError> {
        let tensors = read_file(&path)?;
        Ok(Self { files: vec![path], tensors })
    }

    fn open_shards(shards: BTreeMap<PathBuf, Vec<String>>) -> Result<Self, CheckpointError> {
        let mut whole = Self { files: Vec::new(), tensors: BTreeMap::new() };
        let mut shard_of = BTreeMap::<String, PathBuf>::new();
        for (shard, listed) in shards {
            let tensors = read_file(&shard)?;
            if let Some(name) = listed.into_iter().find(|name| !tensors.contains_key(name)) {
                return Err(CheckpointError::MissingFromShard { name, shard });
            }
            for (name, tensor) in tensors {
                match shard_of.entry(name.clone()) {
                    Entry::Vacant(entry) => entry.insert(shard.clone()),
                    Entry::Occupied(first) => {
                        let (first, second) = (first.get().display(), shard.display());
                        return Err(CheckpointError::DuplicateTensor {
                            first: format!("{name} in {first}"),
                            second: format!("{name} in {second}"),
                            name,
                        });
                    }
                };
                whole.tensors.insert(name, tensor);
            }
            whole.files.push(shard);
        }
        Ok(whole)
    }

    /// The files that are being read, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The tensors under the names the files give them.
    pub fn tensors(&self) -> &BTreeMap<String, RawTensor> {
        &self.tensors
    }

    /// The same tensors under HF-style names, without wrappers, buffers and tied copies.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::DuplicateTensor`] and [`CheckpointError::TiedTensorsDiffer`]; and
    /// those of [`RawTensor::bytes`] when tied tensors have to be compared.
    pub fn into_canonical(self) -> Result<CanonicalWeights, CheckpointError> {
        names::canonicalize(self.tensors)
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let tensors = match FileFormat::of(path)? {
        FileFormat::Safetensors => safetensors_file::read(path)?,
        FileFormat::Torch => torch_file::read(path)?,
    };
    if tensors.is_empty() {
        return Err(CheckpointError::NoTensors { path: path.to_path_buf() });
    }
    Ok(tensors)
}

#[derive(Debug, PartialEq)]
enum FileFormat {
    Safetensors,
    Torch,
}

impl FileFormat {
    /// Bytes needed to tell: up to the end of tar's magic.
    const SIGNATURE_BYTES: u64 = 262;

    fn of(path: &Path) -> Result<Self, CheckpointError> {
        let mut start = Vec::new();
        File::open(path)
            .and_then(|file| file.take(Self::SIGNATURE_BYTES).read_to_end(&mut start))
            .map_err(CheckpointError::read(path))?;

        let path = path.to_path_buf();
        if start.get(257..262) == Some(b"ustar") {
            return Err(CheckpointError::TarContainer { path });
        }
        match start.as_slice() {
            [b'P', b'K', 3, 4, ..] => Ok(Self::Torch),
            [l0, l1, l2, l3, l4, l5, l6, l7, b'{', ..]
                if u64::from_le_bytes([*l0, *l1, *l2, *l3, *l4, *l5, *l6, *l7])
                    <= safetensors_file::HEADER_BYTES_MAX =>
            {
                Ok(Self::Safetensors)
            }
            [0x80, ..] => Ok(Self::Torch), // the pickle opcode PROTO
            start if start.starts_with(b"version https://git-lfs") => {
                Err(CheckpointError::LfsPointer { path })
            }
            _ => Err(CheckpointError::UnknownFormat { path }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{DType, FloatStorage, write_safetensors};
    use super::*;

    fn write(path: &Path, names: &[&str]) {
        let tensors = names
            .iter()
            .map(|&name| {
                let tensor = RawTensor::new(DType::F32, vec![1], vec![0; 4].into()).unwrap();
                (name.to_owned(), tensor)
            })
            .collect();
        write_safetensors(path, &tensors, FloatStorage::Float32).unwrap();
    }

    fn names(checkpoint: &Checkpoint) -> Vec<&str> {
        checkpoint.tensors().keys().map(String::as_str).collect()
    }

    fn error_for(content: &[u8]) -> CheckpointError {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        fs::write(&path, content).unwrap();
        Checkpoint::open(&path).unwrap_err()
    }

    #[test]
    fn the_format_is_told_by_content_not_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.bin");
        write(&path, &["a"]);
        assert_eq!(names(&Checkpoint::open(&path).unwrap()), ["a"]);

        let path = folder.path().join("model.safetensors");
        fs::write(&path, include_bytes!("fixtures/fairseq.pt")).unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(checkpoint.files(), [path]);
        assert!(checkpoint.tensors().contains_key("encoder.version"));
    }

    #[test]
    fn what_is_no_checkpoint_is_called_by_its_name() {
        assert!(matches!(error_for(b""), CheckpointError::UnknownFormat { .. }));
        assert!(matches!(error_for(b"<html>"), CheckpointError::UnknownFormat { .. }));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
        assert!(matches!(error_for(pointer), CheckpointError::LfsPointer { .. }));
        let mut tar = [0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(matches!(error_for(&tar), CheckpointError::TarContainer { .. }));
        let no_tensors = b"\x02\0\0\0\0\0\0\0{}";
        assert!(matches!(error_for(no_tensors), CheckpointError::NoTensors { .. }));
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Checkpoint::open(Path::new("/none/such")).unwrap_err().to_string();
        assert!(message.contains("/none/such"), "{message}");
    }

    /// A folder with two shards and this index.
    fn sharded(first: &[&str], second: &[&str], weight_map: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("1.safetensors"), first);
        write(&folder.path().join("2.safetensors"), second);
        let index = format!(r#"{{"weight_map":{weight_map}}}"#);
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        folder
    }

    const WEIGHT_MAP: &str = r#"{"a":"1.safetensors","b":"2.safetensors"}"#;

    #[test]
    fn shards_are_read_as_one() {
        let folder = sharded(&["a"], &["b"], WEIGHT_MAP);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(names(&checkpoint), ["a", "b"]);
        assert_eq!(checkpoint.files().len(), 2);
    }

    #[test]
    fn shards_that_contradict_the_index_or_each_other_are_refused() {
        let folder = sharded(&["a"], &["c"], WEIGHT_MAP);
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert!(matches!(&error, CheckpointError::MissingFromShard { name, .. } if name == "b"));

        let folder = sharded(&["a"], &["a", "b"], WEIGHT_MAP);
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert!(matches!(&error, CheckpointError::DuplicateTensor { name, .. } if name == "a"));
    }
}
