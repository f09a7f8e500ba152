//! Tokenizer and preprocessing compared with OFA's own, on golden cases.
//!
//! The folder comes from `MUE_GOLDENS` (default: `shared/goldens` beside the workspace), OFA's
//! vocabulary from `MUE_OFA_BPE` (default: `ofa-bpe` beside that folder).

#![allow(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)] // helpers outside `#[test]` functions

use std::path::{Path, PathBuf};

use mue_data::{
    ImageLimits, Orientation, RgbImage, Tokenizer, build_tokenizer, decode_image, preprocess,
};
use safetensors::SafeTensors;
use serde_json::Value;

fn goldens(case: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = match std::env::var_os("MUE_GOLDENS") {
        Some(folder) => PathBuf::from(folder),
        None => root.join("../../../shared/goldens"),
    };
    let case = folder.join(case);
    if !case.is_dir() {
        let why = format!("no golden case at {}: set MUE_GOLDENS to their folder", case.display());
        assert!(std::env::var_os("MUE_GOLDENS_REQUIRED").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return None;
    }
    Some(case)
}

#[test]
fn tokenizer() {
    let Some(case) = goldens("tokenizer") else { return };
    let vocabulary = match std::env::var_os("MUE_OFA_BPE") {
        Some(folder) => PathBuf::from(folder),
        None => case.join("../../ofa-bpe"),
    };
    let tokenizer = Tokenizer::from_json(&build_tokenizer(&vocabulary).unwrap()).unwrap();
    let text = std::fs::read_to_string(case.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(tokenizer.vocab_size() as u64, cases["vocab_size"].as_u64().unwrap());
    let mut count = 0;
    for case in cases["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids = ids(&case["ids"]);
        assert_eq!(tokenizer.encode(text), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), case["decoded"].as_str().unwrap(), "{text:?}");
        assert_eq!(tokenizer.pieces(&ids).concat(), tokenizer.decode(&ids), "{text:?}");
        count += 1;
    }
    for case in cases["decode"].as_array().into_iter().flatten() {
        let expected = case["text"].as_str().or(case["decoded"].as_str()).unwrap();
        assert_eq!(tokenizer.decode(&ids(&case["ids"])), expected, "{case}");
        count += 1;
    }
    assert!(count > 0);
    println!("{count} tokenizer cases");
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// One 8-bit level after normalisation.
const LEVEL: f32 = 2.0 / 255.0;

#[test]
fn preprocessing() {
    let Some(case) = goldens("preprocess") else { return };
    let bytes = std::fs::read(case.join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let mut count = 0;
    for (name, view) in expected.tensors() {
        let (file, size) = name.rsplit_once('.').unwrap();
        let Some((height, width)) = size.split_once('x') else { continue };
        let (height, width) = (height.parse().unwrap(), width.parse().unwrap());
        let decoded = expected.tensor(&format!("{file}.decoded")).unwrap();
        let stored = RgbImage {
            height: decoded.shape()[0],
            width: decoded.shape()[1],
            samples: decoded.data().to_vec(),
        };
        let wanted: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        // The resizer alone, on the reference's own decoded pixels.
        compare(&name, &preprocess(&stored, height, width).values, &wanted, 0.0, 0.0);
        // From the file: other JPEG decoders differ by a few levels.
        let bytes = std::fs::read(case.join("images").join(file)).unwrap();
        let found = decode_image(&bytes, ImageLimits::default(), Orientation::Ignore).unwrap();
        let jpeg = file.ends_with(".jpg") || file.ends_with(".jpeg");
        if !jpeg {
            assert_eq!(found, stored, "{file}");
        }
        let (most, mean) = if jpeg { (8.0, 1.0) } else { (0.0, 0.0) };
        compare(&name, &preprocess(&found, height, width).values, &wanted, most, mean);
        count += 1;
    }
    assert!(count > 0);
    println!("{count} preprocessing cases");
}

/// Tolerances in 8-bit levels; rounding of the last float bit is always allowed.
fn compare(name: &str, found: &[f32], wanted: &[f32], most: f32, mean: f32) {
    assert_eq!(found.len(), wanted.len(), "{name}");
    let levels = || found.iter().zip(wanted).map(|(f, w)| (f - w).abs() / LEVEL);
    let largest = levels().fold(0.0, f32::max);
    let average = levels().sum::<f32>() / found.len() as f32;
    println!("{name}: largest difference {largest:.4} levels, mean {average:.5}");
    assert!(largest <= most + 1e-3, "{name}: {largest} levels");
    assert!(average <= mean + 1e-3, "{name}: {average} levels on average");
}
