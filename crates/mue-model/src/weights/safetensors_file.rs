//! Reading a safetensors file through a memory map.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::error::CheckpointError;
use super::mapped_file::MappedFile;
use super::tensor::{DType, RawTensor};

/// Bytes of the header length that opens the file.
const LENGTH_BYTES: usize = size_of::<u64>();

/// Longest header the format allows.
pub(super) const HEADER_BYTES_MAX: u64 = 100_000_000;

/// The tensors of the safetensors file `path`, all slices of one map.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let file = MappedFile::open(path).map_err(CheckpointError::read(path))?;
    let tensors = parse(path, &file.bytes())?.into_iter();
    Ok(tensors.map(|(name, tensor)| (name, tensor.in_file(file.clone()))).collect())
}

/// The tensors in the bytes of a safetensors file, all slices of them; errors call it `path`.
pub(super) fn parse(
    path: &Path,
    file: &Bytes,
) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let wrong_length = |expected| CheckpointError::SafetensorsLength {
        path: path.to_path_buf(),
        expected,
        found: file.len() as u64,
    };

    let header_end = file
        .first_chunk()
        .map(|&length| u64::from_le_bytes(length).saturating_add(LENGTH_BYTES as u64))
        .ok_or_else(|| wrong_length(LENGTH_BYTES as u64))?;
    let header = usize::try_from(header_end)
        .ok()
        .and_then(|end| file.get(LENGTH_BYTES..end))
        .ok_or_else(|| wrong_length(header_end))?;
    // Not `SafeTensors::read_metadata`, whose sum of offsets can overflow on a hostile header.
    let metadata: Metadata = serde_json::from_slice(header).map_err(|source| {
        CheckpointError::SafetensorsHeader { path: path.to_path_buf(), source }
    })?;
    let file_end = header_end.saturating_add(metadata.data_len() as u64);
    if file_end != file.len() as u64 {
        return Err(wrong_length(file_end));
    }

    // The header's offsets are contiguous and end at the file's end, as just checked.
    let data = file.slice(header.len() + LENGTH_BYTES..);
    metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let tensor = tensor(&data, info, &name, path)?;
            Ok((name, tensor))
        })
        .collect()
}

fn tensor(
    data: &Bytes,
    info: &TensorInfo,
    name: &str,
    path: &Path,
) -> Result<RawTensor, CheckpointError> {
    let dtype = from_safetensors(info.dtype).ok_or_else(|| CheckpointError::UnsupportedDtype {
        name: name.to_owned(),
        path: path.to_path_buf(),
        dtype: info.dtype.to_string(),
    })?;
    let (start, end) = info.data_offsets;
    RawTensor::new(dtype, info.shape.clone(), data.slice(start..end))
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

/// The name safetensors has for `dtype`.
pub(super) fn to_safetensors(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn written(content: &[u8]) -> tempfile::TempPath {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn with_header(header: &str, data: &[u8]) -> tempfile::TempPath {
        let length = (header.len() as u64).to_le_bytes();
        written(&[&length[..], header.as_bytes(), data].concat())
    }

    #[test]
    fn a_file_of_the_reference_writer_is_read() {
        let values = [1.0_f32, -2.0, 3.5, 0.0].map(f32::to_le_bytes).concat();
        let count = 9_i64.to_le_bytes();
        let content = safetensors::serialize(
            [
                ("weight", TensorView::new(Dtype::F32, vec![2, 2], &values).unwrap()),
                ("count", TensorView::new(Dtype::I64, vec![], &count).unwrap()),
            ],
            None,
        )
        .unwrap();

        let tensors = read(&written(&content)).unwrap();

        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["count", "weight"]);
        assert_eq!(tensors["weight"].shape(), [2, 2]);
        assert_eq!(tensors["weight"].bytes().unwrap(), values);
        assert_eq!(tensors["count"].dtype(), DType::I64);
        assert_eq!(tensors["count"].bytes().unwrap(), count[..]);
    }

    #[test]
    fn unpadded_headers_still_give_aligned_data() {
        let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        for padding in 0..4 {
            let header = format!("{header}{}", " ".repeat(padding));
            let tensors = read(&with_header(&header, &1.5_f32.to_le_bytes())).unwrap();
            let bytes = tensors["w"].bytes().unwrap();
            assert!(bytes.as_ptr().addr().is_multiple_of(4));
            assert_eq!(bytes, 1.5_f32.to_le_bytes()[..]);
        }
    }

    #[test]
    fn a_truncated_file_says_how_long_it_should_be() {
        let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let error = read(&with_header(header, &[0; 5])).unwrap_err();
        let expected = header.len() as u64 + 16;
        assert!(matches!(
            error,
            CheckpointError::SafetensorsLength { expected: e, found, .. }
                if e == expected && found == expected - 3
        ));
    }

    #[test]
    fn offsets_near_the_integer_limit_are_refused() {
        let mut header = String::from("{");
        let step = u64::MAX / 9;
        for i in 0..9 {
            let (start, end) = (i * step, (i + 1) * step);
            header += &format!(
                r#""{i}":{{"dtype":"U8","shape":[{step}],"data_offsets":[{start},{end}]}},"#
            );
        }
        header.pop();
        header.push('}');
        let error = read(&with_header(&header, &[])).unwrap_err();
        assert!(matches!(error, CheckpointError::SafetensorsLength { .. }), "{error}");
    }

    #[test]
    fn an_exotic_element_type_is_named() {
        let header = r#"{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
        let error = read(&with_header(header, &[0])).unwrap_err();
        assert!(error.to_string().contains("`w`") && error.to_string().contains("F8_E4M3"));
    }
}
