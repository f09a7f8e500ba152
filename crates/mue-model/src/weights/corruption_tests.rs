//! Damaged files: an error or a checkpoint, never a panic, never more memory than the file
//! accounts for.

use std::io::Write;

use proptest::prelude::*;

use super::*;

const FILES: [&[u8]; 3] = [
    include_bytes!("fixtures/zip.bin"),
    include_bytes!("fixtures/legacy.bin"),
    include_bytes!("fixtures/fairseq.pt"),
];

/// More than any tensor of the fixtures can have after damage to its shape.
const TENSOR_BYTES_MAX: usize = 16 << 20;

fn safetensors_file() -> Vec<u8> {
    let values = [1_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let view =
        |shape| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &values);
    let tensors = [("a.weight", view(vec![2, 2]).unwrap()), ("b.bias", view(vec![4]).unwrap())];
    safetensors::serialize(tensors, None).unwrap()
}

/// Does everything that can be done with a file, whatever it holds.
fn exercise(content: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    let Ok(checkpoint) = Checkpoint::open(file.path()) else {
        return;
    };
    for tensor in checkpoint.tensors().values() {
        if let Ok(bytes) = tensor.bytes() {
            assert!(bytes.len() <= TENSOR_BYTES_MAX);
            assert_eq!(bytes.len(), tensor.element_count() * tensor.dtype().size());
        }
    }
    if let Ok(canonical) = checkpoint.into_canonical() {
        let _ = InferredDimensions::infer(&canonical.tensors);
    }
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(FILES[0].to_vec()),
        Just(FILES[1].to_vec()),
        Just(FILES[2].to_vec()),
        Just(safetensors_file()),
    ]
}

#[test]
fn every_truncation_is_survived() {
    for file in FILES.into_iter().chain([safetensors_file().as_slice()]) {
        for length in 0..file.len() {
            exercise(&file[..length]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_are_survived(
        mut file in any_file(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        exercise(&file);
    }

    #[test]
    fn arbitrary_bytes_after_a_signature_are_survived(
        signature in prop::sample::select(vec![
            &b"PK\x03\x04"[..],
            b"\x80\x02",
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
            b"\x20\0\0\0\0\0\0\0{",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        exercise(&[signature, &rest].concat());
    }
}
