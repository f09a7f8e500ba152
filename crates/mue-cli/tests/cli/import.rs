//! `mue import` and `mue info`.

use serde_json::Value;

use crate::checkpoint::{imported, write_checkpoint};
use crate::{mue, stderr, stdout};

#[test]
fn a_checkpoint_becomes_a_folder_that_says_what_it_holds() {
    let (folder, model) = imported();
    for name in ["model.safetensors", "config.json", "tokenizer.json", "mue.json"] {
        assert!(model.join(name).is_file(), "{name}");
    }
    let output = mue(folder.path()).args(["info", "model", "--json"]).output().unwrap();
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(info["d_model"], 16);
    assert_eq!(info["image_tokens"], 4);
    assert_eq!(info["settings"]["encoding"], "decomposed");
    assert!(info["parameters"].as_u64().unwrap() > 10_000);
    let output = mue(folder.path()).args(["info", "model"]).output().unwrap();
    assert!(stdout(&output).contains("width 16, 3 + 3 layers"), "{}", stdout(&output));
    std::fs::write(model.join("mue.json"), r#"{"image_size": 32}"#).unwrap();
    let output = mue(folder.path()).args(["info", "model"]).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("model/mue.json is not valid: missing field `encoding`"), "{said}");
}

#[test]
fn without_a_configuration_the_dimensions_are_read_off_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    write_checkpoint(&checkpoint);
    std::fs::remove_file(checkpoint.join("config.json")).unwrap();
    let output = mue(folder.path())
        .args(["import", "checkpoint/model.safetensors", "--out", "model", "--image-size", "32"])
        .output()
        .unwrap();
    // Heads cannot be read off every shape, but they can off the head scales.
    assert!(output.status.success(), "{}", stderr(&output));
    let output = mue(folder.path()).args(["info", "model", "--json"]).output().unwrap();
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((info["encoder_layers"].clone(), info["d_model"].clone()), (3.into(), 16.into()));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_with_every_tensor_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    write_checkpoint(&checkpoint);
    let path = checkpoint.join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    let wrong = config.replace("\"encoder_ffn_dim\": 24", "\"encoder_ffn_dim\": 32");
    assert_ne!(config, wrong);
    std::fs::write(&path, wrong).unwrap();
    let import = ["import", "checkpoint", "--out", "model"];
    let output = mue(folder.path()).args(import).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    for layer in 0..3 {
        let name = format!("encoder.layers.{layer}.fc1.weight");
        assert!(stderr(&output).contains(&name), "{}", stderr(&output));
    }
    assert!(stderr(&output).contains("[32, 16]") && stderr(&output).contains("[24, 16]"));
    assert!(!folder.path().join("model").exists(), "nothing half-written is left");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_truncated_file_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    write_checkpoint(&checkpoint);
    let path = checkpoint.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let output =
        mue(folder.path()).args(["import", "checkpoint", "--out", "model"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("model.safetensors"), "{}", stderr(&output));
    assert!(!folder.path().join("model").exists());
}

#[test]
fn an_existing_folder_is_kept_unless_told_otherwise() {
    let (folder, model) = imported();
    let import = ["import", "checkpoint", "--out", "model", "--image-size", "32"];
    let output = mue(folder.path()).args(import).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("model"), "{}", stderr(&output));
    let output = mue(folder.path()).args(import).arg("--force").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let settings: Value =
        serde_json::from_slice(&std::fs::read(model.join("mue.json")).unwrap()).unwrap();
    assert_eq!(settings["encoding"], "joint");
}

#[test]
fn a_folder_that_no_command_could_open_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    write_checkpoint(&checkpoint);
    let refused = |more: &[&str]| {
        let import = ["import", "checkpoint", "--out", "model"];
        let output = mue(folder.path()).args(import).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{more:?}");
        stderr(&output).to_owned()
    };
    // Four tokens of 16 pixels a side.
    for size in ["0", "65"] {
        let said = refused(&["--image-size", size]);
        assert!(said.contains(&format!("pictures of {size} pixels do not fit")), "{said}");
        assert!(said.contains("1 to 64: name another --image-size"), "{said}");
    }
    // Without mue.json, pictures are as published models take them.
    let said = refused(&[]);
    assert!(said.contains("pictures of 480 pixels do not fit"), "{said}");
    let write = |text: &str| std::fs::write(checkpoint.join("mue.json"), text).unwrap();
    write(
        r#"{"image_size": 32, "encoding": "joint", "answers":
        {"entailment": "certainly", "neutral": " maybe", "contradiction": " no"}}"#,
    );
    let said = refused(&[]);
    assert!(said.contains("no command could open the folder: "), "{said}");
    assert!(said.contains("the answer \"certainly\" is not one token"), "{said}");
    write(r#"{"image_size": 32}"#);
    let said = refused(&[]);
    assert!(said.contains("checkpoint/mue.json is not valid: missing field `encoding`"), "{said}");
}

#[test]
fn what_is_asked_for_overrides_the_folder_and_a_calibration_stays_with_its_weights() {
    let (folder, model) = imported();
    std::fs::write(model.join("calibration.json"), "{}").unwrap();
    let import = |more: &[&str]| {
        let output = mue(folder.path()).args(["import", "model"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).to_owned()
    };
    assert!(!import(&["--out", "same"]).contains("calibration"));
    assert!(folder.path().join("same/calibration.json").is_file());
    let said = import(&["--out", "other", "--encoding", "joint", "--image-size", "48"]);
    assert!(said.contains("left out: calibration.json"), "{said}");
    assert!(!folder.path().join("other/calibration.json").exists());
    assert!(import(&["--out", "absolute", "--no-image-relative-bias"]).contains("calibration"));
    let settings = std::fs::read(folder.path().join("other/mue.json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    assert_eq!((&settings["encoding"], &settings["image_size"]), (&"joint".into(), &48.into()));
}
