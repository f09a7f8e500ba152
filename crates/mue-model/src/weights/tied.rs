//! The token embedding, which OFA uses in the encoder, in the decoder and as output layer.

use std::collections::BTreeMap;

use super::error::CheckpointError;
use super::tensor::RawTensor;

/// The name under which the one embedding is kept.
const EMBEDDING: &str = "encoder.embed_tokens.weight";

/// Names of the same tensor; a checkpoint may hold any of them.
const TIED_TO_EMBEDDING: [&str; 3] =
    ["decoder.embed_tokens.weight", "shared.weight", "decoder.output_projection.weight"];

/// Leaves one embedding, as `encoder.embed_tokens.weight`.
///
/// # Errors
///
/// [`CheckpointError::TiedTensorsDiffer`] unless all that are there are equal, to the bit.
pub(super) fn merge_tied(tensors: &mut BTreeMap<String, RawTensor>) -> Result<(), CheckpointError> {
    let mut kept = tensors.remove_entry(EMBEDDING);
    for name in TIED_TO_EMBEDDING {
        let Some((name, tensor)) = tensors.remove_entry(name) else {
            continue;
        };
        match &kept {
            None => kept = Some((name, tensor)),
            Some((kept, embedding)) => {
                if let Some(difference) = difference(embedding, &tensor)? {
                    let kept = kept.clone();
                    return Err(CheckpointError::TiedTensorsDiffer {
                        kept,
                        other: name,
                        difference,
                    });
                }
            }
        }
    }
    if let Some((_, embedding)) = kept {
        tensors.insert(EMBEDDING.to_owned(), embedding);
    }
    Ok(())
}

/// In which way `b` differs from `a`, if it does.
fn difference(a: &RawTensor, b: &RawTensor) -> Result<Option<String>, CheckpointError> {
    if a.shape() != b.shape() {
        return Ok(Some(format!("shape {:?} against {:?}", b.shape(), a.shape())));
    }
    if a.dtype() != b.dtype() {
        return Ok(Some(format!("type {:?} against {:?}", b.dtype(), a.dtype())));
    }
    if a.shares_data_with(b) || a.bytes()? == b.bytes()? {
        return Ok(None);
    }
    Ok(Some("values".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::tensor::DType;
    use super::*;

    fn tensor(dtype: DType, shape: &[usize], bytes: &'static [u8]) -> RawTensor {
        RawTensor::new(dtype, shape.to_vec(), bytes.into()).unwrap()
    }

    fn weights(other: RawTensor) -> BTreeMap<String, RawTensor> {
        BTreeMap::from([
            (EMBEDDING.to_owned(), tensor(DType::U8, &[2, 1], &[1, 2])),
            ("decoder.output_projection.weight".to_owned(), other),
        ])
    }

    #[test]
    fn equal_copies_are_merged_wherever_their_data_is() {
        let mut weights = weights(tensor(DType::U8, &[2, 1], &[1, 2]));
        merge_tied(&mut weights).unwrap();
        assert_eq!(weights.into_keys().collect::<Vec<_>>(), [EMBEDDING]);
    }

    #[test]
    fn any_of_the_names_will_do() {
        for name in TIED_TO_EMBEDDING {
            let only = tensor(DType::U8, &[2], &[1, 2]);
            let mut weights = BTreeMap::from([(name.to_owned(), only)]);
            merge_tied(&mut weights).unwrap();
            assert_eq!(weights.into_keys().collect::<Vec<_>>(), [EMBEDDING]);
        }
    }

    #[test]
    fn a_different_copy_is_an_error_that_says_how() {
        for (other, difference) in [
            (tensor(DType::U8, &[2, 1], &[1, 3]), "values"),
            (tensor(DType::U8, &[1, 2], &[1, 2]), "shape [1, 2] against [2, 1]"),
            (tensor(DType::I8, &[2, 1], &[1, 2]), "type I8 against U8"),
        ] {
            let message = merge_tied(&mut weights(other)).unwrap_err().to_string();
            assert!(message.contains(difference), "{message}");
            assert!(message.contains("decoder.output_projection.weight"), "{message}");
        }
    }
}
