//! Checkpoints on disk: reading, naming, measuring and writing them.
//!
//! A checkpoint passes through four steps, each usable alone:
//!
//! 1. [`Checkpoint::open`] finds the tensors of a file or folder, whatever its format.
//! 2. [`Checkpoint::into_canonical`] gives them HF-style names and keeps one tied embedding.
//! 3. [`InferredDimensions::infer`] reads the model's sizes from names and shapes.
//! 4. [`write_safetensors`] writes them, into an [`OutputFolder`] that appears whole or not at all.
//!
//! Then the model turns tensors into the burn modules of a model.
//!
//! Tensor data stays in its file until [`RawTensor::bytes`] asks for it.

mod checkpoint;
mod error;
mod export;
mod folder;
mod infer;
mod init;
mod load;
mod mapped_file;
mod names;
mod output_folder;
mod safetensors_file;
mod tensor;
mod tied;
mod torch_file;
mod write;

#[cfg(test)]
mod corruption_tests;
#[cfg(test)]
mod golden_tests;

pub use checkpoint::Checkpoint;
pub use error::CheckpointError;
pub use export::{ParamLayout, ParamNames, ParamOrigin};
pub use infer::InferredDimensions;
pub use init::initial_tensors;
pub(crate) use load::{Epsilons, Loader};
pub use load::{LoadError, Mismatch, MismatchError};
pub use names::{CanonicalWeights, Naming};
pub use output_folder::OutputFolder;
pub use tensor::{DType, RawTensor};
pub use write::{FloatStorage, write_safetensors};
