//! Writing `model.safetensors`, one tensor at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::error::CheckpointError;
use super::safetensors_file::to_safetensors;
use super::tensor::{DType, RawTensor};

/// How floats are written; integers are always written as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatStorage {
    /// Every float as `f32`.
    #[default]
    Float32,
    /// `f16` and `bf16` as they are, every other float as `f32`.
    KeepHalf,
}

impl FloatStorage {
    fn keeps(self, tensor: &RawTensor) -> bool {
        self == Self::KeepHalf && matches!(tensor.dtype(), DType::F16 | DType::BF16)
    }

    fn dtype_of(self, tensor: &RawTensor) -> DType {
        if self.keeps(tensor) { tensor.dtype() } else { tensor.float32_dtype() }
    }

    fn bytes_of(self, tensor: &RawTensor) -> Result<bytes::Bytes, CheckpointError> {
        if self.keeps(tensor) { tensor.bytes() } else { tensor.float32_bytes() }
    }
}

/// Writes `tensors` to the safetensors file `path` and waits until they are on disk.
///
/// Holds at most one tensor in memory. `path` must not be a file that `tensors` are read from;
/// use an [`OutputFolder`](super::OutputFolder) to be sure of that, and of never leaving half
/// a file behind.
///
/// # Errors
///
/// [`CheckpointError::Write`], and those of [`RawTensor::bytes`].
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, RawTensor>,
    floats: FloatStorage,
) -> Result<(), CheckpointError> {
    let in_order = in_file_order(tensors, floats);
    let header = header(&in_order, floats).map_err(std::io::Error::other);
    let header = header.map_err(CheckpointError::write(path))?;

    let file = File::create(path).map_err(CheckpointError::write(path))?;
    let mut writer = BufWriter::new(file);
    writer.write_all(&header).map_err(CheckpointError::write(path))?;
    for (_, tensor) in in_order {
        let bytes = floats.bytes_of(tensor)?;
        writer.write_all(&bytes).map_err(CheckpointError::write(path))?;
    }
    let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).map_err(CheckpointError::write(path))
}

/// Wide elements first, so that every tensor is aligned; then by name.
fn in_file_order(
    tensors: &BTreeMap<String, RawTensor>,
    floats: FloatStorage,
) -> Vec<(&String, &RawTensor)> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, tensor)| std::cmp::Reverse(floats.dtype_of(tensor).size()));
    in_order
}

/// The length and the JSON that open the file.
fn header(
    tensors: &[(&String, &RawTensor)],
    floats: FloatStorage,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut end = 0;
    let infos = tensors.iter().map(|&(name, tensor)| {
        let (start, dtype) = (end, floats.dtype_of(tensor));
        end += tensor.element_count() * dtype.size();
        let info = TensorInfo {
            dtype: to_safetensors(dtype),
            shape: tensor.shape().to_vec(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos.collect())?;

    let mut json = serde_json::to_vec(&metadata)?;
    json.resize(json.len().next_multiple_of(size_of::<u64>()), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}

#[cfg(test)]
mod tests {
    use half::f16;
    use safetensors::{Dtype, SafeTensors};

    use super::*;

    fn tensors() -> BTreeMap<String, RawTensor> {
        let raw = |dtype, shape: &[usize], bytes: Vec<u8>| {
            RawTensor::new(dtype, shape.to_vec(), bytes.into()).unwrap()
        };
        let half = f16::from_f32(-1.5).to_le_bytes().to_vec();
        BTreeMap::from([
            ("flag".to_owned(), raw(DType::Bool, &[3], vec![1, 0, 1])),
            ("half".to_owned(), raw(DType::F16, &[1], half)),
            ("step".to_owned(), raw(DType::I64, &[], 7_i64.to_le_bytes().to_vec())),
            ("wide".to_owned(), raw(DType::F64, &[1], 0.1_f64.to_le_bytes().to_vec())),
            (
                "word".to_owned(),
                raw(DType::F32, &[1, 2], [1_f32, 2.0].map(f32::to_le_bytes).concat()),
            ),
        ])
    }

    fn written(floats: FloatStorage) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write_safetensors(&path, &tensors(), floats).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn the_reference_reader_accepts_the_file() {
        let content = written(FloatStorage::Float32);
        let (header_bytes, metadata) = SafeTensors::read_metadata(&content).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        assert_eq!((header_bytes + 8) % 8, 0);

        let file = SafeTensors::deserialize(&content).unwrap();
        let wide = file.tensor("wide").unwrap();
        assert_eq!((wide.dtype(), wide.data()), (Dtype::F32, &0.1_f32.to_le_bytes()[..]));
        let half = file.tensor("half").unwrap();
        assert_eq!((half.dtype(), half.data()), (Dtype::F32, &(-1.5_f32).to_le_bytes()[..]));
        let step = file.tensor("step").unwrap();
        assert_eq!((step.dtype(), step.shape()), (Dtype::I64, &[][..]));
        assert_eq!(file.tensor("word").unwrap().shape(), [1, 2]);
    }

    #[test]
    fn halves_can_be_kept() {
        let content = written(FloatStorage::KeepHalf);
        let file = SafeTensors::deserialize(&content).unwrap();
        assert_eq!(file.tensor("half").unwrap().dtype(), Dtype::F16);
        assert_eq!(file.tensor("wide").unwrap().dtype(), Dtype::F32);
    }

    #[test]
    fn every_tensor_is_aligned() {
        for floats in [FloatStorage::Float32, FloatStorage::KeepHalf] {
            let content = written(floats);
            let (_, metadata) = SafeTensors::read_metadata(&content).unwrap();
            for (name, info) in metadata.tensors() {
                assert_eq!(info.data_offsets.0 % (info.dtype.bitsize() / 8), 0, "{name}");
            }
        }
    }

    #[test]
    fn writing_is_reproducible() {
        assert_eq!(written(FloatStorage::Float32), written(FloatStorage::Float32));
    }
}
