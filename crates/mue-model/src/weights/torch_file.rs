//! Reading a PyTorch file: zip (PyTorch 1.6 and later) or legacy pickle stream.
//!
//! `pytorch_reader` interprets the pickle and runs nothing: the callables it names are
//! recognised by name or left as opaque objects. Tensor data is read on request only, so what
//! a training checkpoint holds beside the model costs nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use pytorch_reader::{PytorchError, PytorchReader, Tensor};

use super::error::CheckpointError;
use super::tensor::RawTensor;

/// The keys under which training checkpoints keep the state dict: fairseq's, and the one of
/// most other trainers.
const STATE_DICT_KEYS: [&str; 2] = ["model", "state_dict"];

/// Bytes that any tensor may have. Beyond this, none may be larger than its file: a view with
/// stride 0 repeats its storage, so that a damaged shape could otherwise ask for gigabytes.
const REPEATED_BYTES_MAX: u64 = 16 << 20;

/// The tensors of the PyTorch file `path`: those of its state dict, if it holds one beside
/// other things, else all.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let file_bytes = std::fs::metadata(path).map_err(CheckpointError::read(path))?.len();
    let bytes_max = file_bytes.max(REPEATED_BYTES_MAX);
    let shared_path: Arc<Path> = path.into();

    state_dict(path)?
        .into_iter()
        .map(|(name, tensor)| {
            if tensor.byte_len() as u64 > bytes_max {
                let (path, bytes) = (path.to_path_buf(), tensor.byte_len());
                return Err(CheckpointError::OversizedTensor { name, path, bytes });
            }
            Ok((name, RawTensor::from_torch(tensor, shared_path.clone())))
        })
        .collect()
}

fn state_dict(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    for key in STATE_DICT_KEYS {
        match PytorchReader::with_top_level_key(path, key) {
            Ok(reader) => return Ok(reader.into_tensors()),
            Err(PytorchError::KeyNotFound(_)) => {}
            Err(error) => return Err(torch_error(path, error)),
        }
    }
    match PytorchReader::new(path) {
        Ok(reader) => Ok(reader.into_tensors()),
        Err(error) => Err(torch_error(path, error)),
    }
}

fn torch_error(path: &Path, error: PytorchError) -> CheckpointError {
    CheckpointError::Torch { path: path.to_path_buf(), source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::DType;
    use super::*;

    // Made by fixtures/make_fixtures.py.
    const ZIP: &[u8] = include_bytes!("fixtures/zip.bin");
    const LEGACY: &[u8] = include_bytes!("fixtures/legacy.bin");
    const FAIRSEQ: &[u8] = include_bytes!("fixtures/fairseq.pt");

    fn tensors(content: &[u8]) -> (tempfile::TempPath, BTreeMap<String, RawTensor>) {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, content).unwrap();
        let tensors = read(&path).unwrap();
        (path, tensors)
    }

    fn floats(tensor: &RawTensor) -> Vec<f32> {
        let bytes = tensor.float32_bytes().unwrap();
        bytes.as_chunks().0.iter().map(|&le| f32::from_le_bytes(le)).collect()
    }

    #[test]
    fn every_type_and_layout_is_read_from_both_containers() {
        let expected: [(&str, DType, &[usize], &[f32]); 10] = [
            ("f32", DType::F32, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]),
            ("f16", DType::F16, &[2], &[1.5, -2.0]),
            ("bf16", DType::BF16, &[2], &[1.5, -2.0]),
            ("f64", DType::F64, &[1], &[0.1]),
            ("transposed", DType::F32, &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.5]),
            ("sliced", DType::F32, &[4], &[4.0, 5.0, 6.0, 7.0]),
            ("expanded", DType::F32, &[3, 2], &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0]),
            ("tied_b", DType::F32, &[12], &std::array::from_fn::<f32, 12, _>(|i| i as f32)),
            ("parameter", DType::F32, &[1], &[8.0]),
            ("empty", DType::F32, &[0, 3], &[]),
        ];
        for container in [ZIP, LEGACY] {
            let (_file, tensors) = tensors(container);
            assert_eq!(tensors.len(), 13, "{:?}", tensors.keys());
            for (name, dtype, shape, values) in expected {
                let tensor = &tensors[name];
                assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape), "{name}");
                assert_eq!(floats(tensor), values, "{name}");
            }
            assert_eq!(tensors["i64"].bytes().unwrap(), 7_i64.to_le_bytes()[..]);
            assert_eq!(tensors["bool"].bytes().unwrap(), [1, 0, 1][..]);
            assert_eq!(tensors["tied_a"].bytes().unwrap(), tensors["tied_b"].bytes().unwrap());
        }
    }

    #[test]
    fn of_a_fairseq_file_only_the_model_is_taken() {
        let (_file, tensors) = tensors(FAIRSEQ);
        let names = [
            "decoder.embed_tokens.weight",
            "decoder.layers.0.encoder_attn.c_attn",
            "decoder.layers.0.self_attn_ln.weight",
            "decoder.output_projection.weight",
            "encoder.embed_tokens.weight",
            "encoder.version",
        ];
        assert_eq!(tensors.keys().collect::<Vec<_>>(), names);
        assert_eq!(floats(&tensors["decoder.layers.0.encoder_attn.c_attn"]), [1.0, 2.0]);
    }

    #[test]
    fn damaged_data_is_noticed() {
        let mut content = ZIP.to_vec();
        let value = 6.5_f32.to_le_bytes();
        let place = content.windows(4).position(|bytes| bytes == value).unwrap();
        content[place] ^= 1;
        let (_file, tensors) = tensors(&content);
        let error = tensors["f32"].bytes().unwrap_err();
        assert!(matches!(error, CheckpointError::TensorData { .. }), "{error}");
    }

    #[test]
    fn a_repeated_view_may_not_outgrow_its_file() {
        // In the pickle of `expanded`: 3, 2, tuple, memo, 0, 1, tuple: its shape and strides.
        let is_expanded = |bytes: &[u8]| {
            bytes.starts_with(b"K\x03K\x02\x86q") && bytes.ends_with(b"K\x00K\x01\x86")
        };
        let place = LEGACY.windows(12).position(is_expanded).unwrap();
        let rows = b"J\x00\x00\x80\x00"; // 2^23 instead of 3
        let content = [&LEGACY[..place], rows, &LEGACY[place + 2..]].concat();

        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, content).unwrap();
        let error = read(&path).unwrap_err();

        assert!(
            matches!(&error, CheckpointError::OversizedTensor { name, .. } if name == "expanded"),
            "{error:?}"
        );
    }
}
