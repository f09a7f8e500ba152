//! What can go wrong with a checkpoint, and how to mend it.

use std::io;
use std::path::PathBuf;

use pytorch_reader::PytorchError;

/// A checkpoint that cannot be read, understood or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused to read a file or folder.
    #[error("cannot read {path}; check that it exists and may be read")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },

    /// The operating system refused to write a file or folder.
    #[error("cannot write {path}; check the folder's permissions and the free space")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },

    /// A file whose first bytes belong to no known checkpoint format.
    #[error("{path} is not a checkpoint; give a safetensors or pytorch file, or a folder with one")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// The stand-in that git leaves for a large file that was not downloaded.
    #[error("{path} is a git lfs pointer, not the weights; run `git lfs pull` in its repository")]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },

    /// The container of PyTorch before 0.1.10.
    #[error("{path} is a tar file of pytorch before 0.1.10; save it again with a newer pytorch")]
    TarContainer {
        /// The file.
        path: PathBuf,
    },

    /// A safetensors header that is no valid description of tensors.
    #[error("the safetensors header of {path} is damaged; download or export the file again")]
    SafetensorsHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong in the header.
        #[source]
        source: serde_json::Error,
    },

    /// A safetensors file whose size contradicts its header.
    #[error(
        "{path} has {found} bytes where its header announces {expected}; \
         download or export the file again"
    )]
    SafetensorsLength {
        /// The file.
        path: PathBuf,
        /// Bytes according to the header.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },

    /// An element type outside [`DType`](super::DType).
    #[error("`{name}` in {path} has the element type {dtype}; export it as f32, f16 or bf16")]
    UnsupportedDtype {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// The type's name in safetensors.
        dtype: String,
    },

    /// A PyTorch file whose structure cannot be read.
    #[error(
        "cannot read the pytorch file {path}; if it is whole, save the weights alone: \
         torch.save({{'model': torch.load(old)['model']}}, new)"
    )]
    Torch {
        /// The file.
        path: PathBuf,
        /// What the reader met.
        #[source]
        source: Box<PytorchError>,
    },

    /// A PyTorch tensor that claims more elements than the file can stand for.
    #[error("`{name}` in {path} claims {bytes} bytes, more than the whole file; it is damaged")]
    OversizedTensor {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: usize,
    },

    /// Tensor data that is missing or damaged.
    #[error("cannot read tensor data from {path}; download or export the file again")]
    TensorData {
        /// The file.
        path: PathBuf,
        /// What the reader met; names the tensor.
        #[source]
        source: io::Error,
    },

    /// A file without a single tensor.
    #[error("{path} holds no tensors; give the file with the weights")]
    NoTensors {
        /// The file.
        path: PathBuf,
    },

    /// A folder without a checkpoint.
    #[error("no checkpoint in {folder}; looked for {looked_for}")]
    NothingInFolder {
        /// The folder.
        folder: PathBuf,
        /// The names that would have been taken, in order.
        looked_for: &'static str,
    },

    /// A folder with several files that could be meant.
    #[error("several checkpoints in {folder}: {found}; name the file to be read")]
    AmbiguousFolder {
        /// The folder.
        folder: PathBuf,
        /// The candidates.
        found: String,
    },

    /// A shard index that is not what it should be.
    #[error("the shard index {path} is damaged; download it again")]
    ShardIndex {
        /// The index.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        source: serde_json::Error,
    },

    /// A shard index that names a file elsewhere.
    #[error("the shard index {path} names `{shard}`, which is no file name of its own folder")]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The offending entry.
        shard: String,
    },

    /// A tensor that the shard index lists and its shard lacks.
    #[error("`{name}` is not in {shard} as the shard index says; download the shards again")]
    MissingFromShard {
        /// The tensor.
        name: String,
        /// The shard.
        shard: PathBuf,
    },

    /// Two tensors with one name.
    #[error("`{first}` and `{second}` are both `{name}`; keep the one that is meant")]
    DuplicateTensor {
        /// The name they share.
        name: String,
        /// Where the first was found, or what it was called.
        first: String,
        /// Where the second was found, or what it was called.
        second: String,
    },

    /// Two tensors that OFA ties and that are not equal.
    #[error(
        "`{other}` differs from `{kept}` ({difference}); OFA ties them, so this is not an OFA \
         checkpoint or one of the two was changed alone"
    )]
    TiedTensorsDiffer {
        /// The tensor that would be kept.
        kept: String,
        /// The tensor that contradicts it.
        other: String,
        /// Shapes, types, or values.
        difference: String,
    },

    /// Names or shapes from which the model's sizes cannot be told.
    #[error("not an OFA checkpoint, its sizes cannot be told: {problems}")]
    CannotInfer {
        /// Everything that is missing or contradictory.
        problems: String,
    },

    /// Data whose length contradicts the shape.
    #[error("{found} bytes given for a {dtype:?} tensor of shape {shape:?}")]
    WrongByteCount {
        /// Element type.
        dtype: super::DType,
        /// Shape.
        shape: Vec<usize>,
        /// Bytes given.
        found: usize,
    },

    /// An output path that ends in no name, such as `..` or `/`.
    #[error("{path} names no folder to write; give a path that ends in a folder name")]
    UnnamedOutput {
        /// The path.
        path: PathBuf,
    },

    /// An output folder that holds something already.
    #[error("{path} exists and is not an empty folder; remove it, or ask to overwrite it")]
    OutputExists {
        /// The path.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// For `map_err`: a failed read of `path`.
    pub(super) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// For `map_err`: a failed write of `path`.
    pub(super) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}
