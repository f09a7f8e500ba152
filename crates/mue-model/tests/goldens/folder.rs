//! A folder of golden cases: which there are, of which kind, and which there should be.

use std::path::{Path, PathBuf};

use crate::case::tensor_names;

/// A tensor that only one kind of case expects, and that kind.
const KINDS: [(&str, &str); 6] = [
    ("enc_embedding", "joint"),
    ("paper.image_layer_0", "mue"),
    ("paper.image_exit_layer", "mue-exit"),
    ("run0.tokens", "beam"),
    ("encoder_exit_layers", "mue-beam"),
    ("mue_exit.exit_layers", "entailment"),
];

/// The cases of a folder, in order: the folders in it with inputs and what is expected of them.
pub(crate) fn cases(folder: &Path) -> Vec<PathBuf> {
    let is_case = |path: &PathBuf| {
        ["inputs", "expected"].iter().all(|part| path.join(format!("{part}.safetensors")).is_file())
    };
    let entries = std::fs::read_dir(folder).unwrap();
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(is_case).collect();
    cases.sort();
    cases
}

/// A case's kind.
pub(crate) fn kind(case: &Path) -> Option<&'static str> {
    let names = tensor_names(&case.join("expected.safetensors"));
    let has = |name: &str| names.iter().any(|other| other == name);
    KINDS.into_iter().find_map(|(tensor, kind)| has(tensor).then_some(kind))
}

/// What is wrong with a folder: cases that nothing would be compared with and, of one whose cases
/// are demanded, files that it lists in `SHA256SUMS` and has not, or that it has no case at all.
///
/// A folder may have a few kinds only: what it is to have, it says itself.
pub(crate) fn complaints(folder: &Path, demanded: bool) -> Vec<String> {
    let cases = cases(folder);
    let unknown = cases.iter().filter(|case| kind(case).is_none());
    let mut complaints: Vec<String> = unknown
        .map(|case| format!("{}: expects no tensor that tells its kind", case.display()))
        .collect();
    if demanded && cases.is_empty() {
        complaints.push(format!("{}: has no case", folder.display()));
    }
    if demanded {
        let missing = listed(folder).into_iter().filter(|file| !folder.join(file).is_file());
        complaints
            .extend(missing.map(|file| format!("{file}: listed in SHA256SUMS and not there")));
    }
    complaints
}

/// The files that a folder lists in `SHA256SUMS`, if it does.
fn listed(folder: &Path) -> Vec<String> {
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap_or_default();
    sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, file)| file.to_owned()).collect()
}

/// A folder with a case that expects one tensor of this name.
fn with_case(tensor: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("case");
    std::fs::create_dir(&case).unwrap();
    let header = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let length = (header.len() as u64).to_le_bytes();
    let file = [&length[..], header.as_bytes(), &[0; 4]].concat();
    for name in ["inputs.safetensors", "expected.safetensors"] {
        std::fs::write(case.join(name), &file).unwrap();
    }
    folder
}

#[test]
fn a_case_of_no_known_kind_is_complained_of() {
    let folder = with_case("logits");
    assert_eq!(complaints(folder.path(), false).len(), 1);
    assert!(complaints(with_case("run0.tokens").path(), true).is_empty());
}

#[test]
fn what_is_demanded_has_to_be_there() {
    let empty = tempfile::tempdir().unwrap();
    assert!(complaints(empty.path(), false).is_empty());
    assert_eq!(complaints(empty.path(), true).len(), 1);
    let folder = with_case("run0.tokens");
    let sums = "00  case/expected.safetensors\n00  other/expected.safetensors\n";
    std::fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
    let complaints = complaints(folder.path(), true);
    assert_eq!(complaints, ["other/expected.safetensors: listed in SHA256SUMS and not there"]);
}
