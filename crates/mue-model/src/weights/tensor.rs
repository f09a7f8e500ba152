//! One named tensor of a checkpoint, its data still in the file.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};
pub use pytorch_reader::DType;

use super::error::CheckpointError;
use super::mapped_file::MappedFile;

/// A tensor as a checkpoint stores it: element type, shape, and where its data is.
///
/// Cloning is cheap and copies no data.
#[derive(Clone, Debug)]
pub struct RawTensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    /// In memory.
    Bytes(Bytes),
    /// In a mapped file.
    Mapped { bytes: Bytes, file: MappedFile },
    /// In a PyTorch file, read anew at every request.
    Torch { tensor: pytorch_reader::Tensor, path: Arc<Path> },
}

impl RawTensor {
    /// A tensor over row-major little-endian `bytes`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::WrongByteCount`] unless `bytes` is exactly `shape` elements long.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: Bytes) -> Result<Self, CheckpointError> {
        let expected = shape.iter().try_fold(dtype.size(), |size, &n| size.checked_mul(n));
        if expected != Some(bytes.len()) {
            return Err(CheckpointError::WrongByteCount { dtype, shape, found: bytes.len() });
        }
        Ok(Self { dtype, shape, data: Data::Bytes(bytes) })
    }

    /// A tensor of row-major numbers.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self, CheckpointError> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Self::new(DType::F32, shape, bytes.into())
    }

    /// A tensor whose data is read from the PyTorch file `path` on request.
    pub(super) fn from_torch(tensor: pytorch_reader::Tensor, path: Arc<Path>) -> Self {
        Self {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            data: Data::Torch { tensor, path },
        }
    }

    /// The same tensor, whose bytes are some of a mapped file's.
    pub(super) fn in_file(mut self, file: MappedFile) -> Self {
        if let Data::Bytes(bytes) = self.data {
            self.data = Data::Mapped { bytes, file };
        }
        self
    }

    /// Lets go of the memory that reading it took, where it is a mapped file's.
    pub(super) fn release(&self) {
        if let Data::Mapped { bytes, file } = &self.data {
            file.release(bytes);
        }
    }

    /// Element type as stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The data as stored: row-major, little-endian, aligned for its element type.
    ///
    /// Costs nothing for a mapped file, and one read for a PyTorch file, every time.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::TensorData`] when the file is damaged there.
    pub fn bytes(&self) -> Result<Bytes, CheckpointError> {
        let bytes = match &self.data {
            Data::Bytes(bytes) | Data::Mapped { bytes, .. } => bytes.clone(),
            Data::Torch { tensor, path } => tensor.read().map(Bytes::from).map_err(|source| {
                CheckpointError::TensorData { path: path.to_path_buf(), source }
            })?,
        };
        Ok(align(bytes, self.dtype.size()))
    }

    /// The element type of [`float32_bytes`](Self::float32_bytes): `F32` for every float,
    /// the stored one for integers and booleans.
    pub fn float32_dtype(&self) -> DType {
        match self.dtype {
            DType::F64 | DType::F32 | DType::F16 | DType::BF16 => DType::F32,
            other => other,
        }
    }

    /// The data with every float as `f32`; integers and booleans as stored.
    ///
    /// `f16` and `bf16` convert exactly, `f64` to the nearest `f32`.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Self::bytes).
    pub fn float32_bytes(&self) -> Result<Bytes, CheckpointError> {
        let bytes = self.bytes()?;
        Ok(match self.dtype {
            DType::F16 => to_float32(&bytes, |le| f16::from_le_bytes(le).to_f32()),
            DType::BF16 => to_float32(&bytes, |le| bf16::from_le_bytes(le).to_f32()),
            DType::F64 => to_float32(&bytes, |le| f64::from_le_bytes(le) as f32),
            _ => bytes,
        })
    }

    /// Whether both have the same data in the same place, so that no comparison is needed.
    pub(super) fn shares_data_with(&self, other: &Self) -> bool {
        let bytes = |tensor: &Self| match &tensor.data {
            Data::Bytes(bytes) | Data::Mapped { bytes, .. } => Some((bytes.as_ptr(), bytes.len())),
            Data::Torch { .. } => None,
        };
        bytes(self).is_some_and(|place| bytes(other) == Some(place))
    }
}

fn to_float32<const SIZE: usize>(bytes: &[u8], to_f32: impl Fn([u8; SIZE]) -> f32) -> Bytes {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let mut floats = Vec::with_capacity(elements.len() * size_of::<f32>());
    for &element in elements {
        floats.extend_from_slice(&to_f32(element).to_le_bytes());
    }
    align(floats.into(), size_of::<f32>())
}

/// `bytes` themselves if they start at a multiple of `alignment`, else a copy that does.
///
/// Files that pad their header as safetensors should never need the copy.
fn align(bytes: Bytes, alignment: usize) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(alignment) {
        return bytes;
    }
    let mut room = vec![0; bytes.len() + alignment];
    let start = room.as_ptr().addr().next_multiple_of(alignment) - room.as_ptr().addr();
    let place = start..start + bytes.len();
    room[place.clone()].copy_from_slice(&bytes);
    Bytes::from(room).slice(place) // keeps the allocation where it is
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: DType, shape: &[usize], bytes: Vec<u8>) -> RawTensor {
        RawTensor::new(dtype, shape.to_vec(), bytes.into()).unwrap()
    }

    fn floats(tensor: &RawTensor) -> Vec<f32> {
        let bytes = tensor.float32_bytes().unwrap();
        bytes.as_chunks().0.iter().map(|&le| f32::from_le_bytes(le)).collect()
    }

    #[test]
    fn halves_widen_exactly() {
        let values = [0.0, -1.5, 65504.0, 6.0e-8, f32::INFINITY];
        let halves = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let expected: Vec<f32> = values.iter().map(|&v| f16::from_f32(v).to_f32()).collect();
        assert_eq!(floats(&tensor(DType::F16, &[5], halves)), expected);

        let brains = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let expected: Vec<f32> = values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect();
        assert_eq!(floats(&tensor(DType::BF16, &[5, 1], brains)), expected);
    }

    #[test]
    fn doubles_round_to_the_nearest_float() {
        let doubles = [0.1_f64, -3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(floats(&tensor(DType::F64, &[2], doubles)), [0.1_f32, -3.0]);
    }

    #[test]
    fn integers_stay_as_they_are() {
        let stored = tensor(DType::I64, &[], 7_i64.to_le_bytes().to_vec());
        assert_eq!(stored.float32_dtype(), DType::I64);
        assert_eq!(stored.float32_bytes().unwrap(), 7_i64.to_le_bytes()[..]);
    }

    #[test]
    fn float32_data_is_not_copied() {
        let stored = tensor(DType::F32, &[2], vec![0; 8]);
        assert_eq!(stored.float32_bytes().unwrap().as_ptr(), stored.bytes().unwrap().as_ptr());
    }

    #[test]
    fn misaligned_data_is_copied_to_an_aligned_place() {
        let room = Bytes::from((0..64).collect::<Vec<u8>>());
        for offset in 0..8 {
            let piece = room.slice(offset..offset + 16);
            let aligned = align(piece.clone(), 8);
            assert_eq!(aligned, piece);
            assert!(aligned.as_ptr().addr().is_multiple_of(8));
        }
    }

    #[test]
    fn a_wrong_length_or_an_overflowing_shape_is_refused() {
        for shape in [vec![3], vec![usize::MAX, usize::MAX]] {
            let error = RawTensor::new(DType::F32, shape, Bytes::from_static(&[0; 8]));
            assert!(matches!(error, Err(CheckpointError::WrongByteCount { found: 8, .. })));
        }
    }
}
