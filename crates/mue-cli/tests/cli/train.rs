//! `mue train` from files to a model folder, and on from there.

use std::path::Path;
use std::process::Output;

use crate::{mue, stderr, stdout};

/// A very small model, trained for as long as it takes to see that it is.
fn recipe(folder: &Path, name: &str, more: &str) {
    let text = format!("steps = 2\n{more}\n[optimizer]\nwarmup_steps = 1\n[run]\nthreads = 1\n");
    std::fs::write(folder.join(name), text).unwrap();
}

const SMALL: &str = "d_model = 16\nheads = 2\nffn_dim = 32\nencoder_layers = 2\ndecoder_layers = 2\n\
                     stem_width = 4\n";

const FILES: &str = "[data]\ntrain = \"scenes\"\ndev = \"scenes\"\npictures = 4\n\
                     accumulation = 1\ndev_pictures = 3\n";

fn train(folder: &Path, recipe: &str, out: &str) -> Output {
    mue(folder)
        .args(["train", "--device", "flex", "--config", recipe, "--out", out])
        .output()
        .unwrap()
}

/// A folder with a few scenes as files.
fn scenes() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let args = ["scenes", "--out", "scenes", "--count", "6", "--split", "train"];
    assert!(mue(folder.path()).args(args).output().unwrap().status.success());
    folder
}

fn encoding(folder: &Path, model: &str) -> String {
    let text = std::fs::read(folder.join(model).join("mue.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_slice(&text).unwrap();
    settings["encoding"].as_str().unwrap().to_owned()
}

#[test]
fn a_model_is_trained_on_files_and_on_from_there_in_every_way() {
    let folder = scenes();
    let folder = folder.path();
    recipe(folder, "new.toml", &format!("[model]\n{SMALL}{FILES}"));
    let output = train(folder, "new.toml", "first");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("trained 2 steps: entailment"), "{}", stdout(&output));
    assert_eq!(encoding(folder, "first/model"), "decomposed");
    let log = std::fs::read_to_string(folder.join("first/log.jsonl")).unwrap();
    assert_eq!(log.matches("{\"evaluation\":{\"step\":2,").count(), 1, "{log}");

    // Image and text together, as the folder says and as it is then asked.
    recipe(
        folder,
        "joint.toml",
        &format!("[model]\nfrom = \"first/model\"\nencoding = \"joint\"\n{FILES}"),
    );
    let output = train(folder, "joint.toml", "joint");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(encoding(folder, "joint/model"), "joint");
    let args = ["caption", "--model", "joint/model", "scenes/images/000000.png"];
    let output = mue(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let rewarded = "[self_critical]\nweight = 1.0\ndocuments = 6\n";
    recipe(
        folder,
        "second.toml",
        &format!("[model]\nfrom = \"first/model\"\n{FILES}{rewarded}[loss]\ncaption = 0.0\n"),
    );
    let output = train(folder, "second.toml", "second");
    assert!(output.status.success(), "{}", stderr(&output));

    // The newest checkpoint's model is the run's, and needs nothing else.
    let weights =
        |model: &str| std::fs::read(folder.join(model).join("model.safetensors")).unwrap();
    let trained = weights("second/model");
    for gone in ["second/model", "first", "scenes"] {
        std::fs::remove_dir_all(folder.join(gone)).unwrap();
    }
    let args =
        ["train", "--device", "flex", "--config", "second.toml", "--out", "second", "--export"];
    assert!(mue(folder).args(args).output().unwrap().status.success());
    assert!(weights("second/model") == trained, "the exported weights differ");
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = scenes();
    let folder = folder.path();
    std::fs::remove_file(folder.join("scenes/images/000002.png")).unwrap();
    let recipe = |max: usize| {
        // A step takes six samples of each data set, which is all of them.
        let data = format!("{FILES}problems_max = {max}\n")
            .replace("dev = \"scenes\"\n", "")
            .replace("\npictures = 4", "\npictures = 12");
        recipe(folder, "recipe.toml", &format!("[model]\n{SMALL}{data}"));
    };
    recipe(2);
    let output = train(folder, "recipe.toml", "out");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("left out: ") && stderr(&output).contains("000002.png"));
    assert!(stdout(&output).contains("nothing to evaluate on"));

    recipe(0);
    let output = train(folder, "recipe.toml", "again");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("more than 0 samples"), "{}", stderr(&output));
}

#[test]
fn data_and_models_that_are_not_there_are_the_users_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (more, expected) in [
        ("[data]\ntrain = \"nowhere.json\"\n", "nowhere.json"),
        ("[model]\nfrom = \"nowhere\"\n", "cannot start from nowhere"),
        ("[data]\ntrain = \"a.jsonl\"\n[loss]\nentailment = 0.0\n", "nothing for the tasks"),
    ] {
        recipe(folder, "recipe.toml", more);
        let output = train(folder, "recipe.toml", "out");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_calibration_outlives_an_export_of_the_same_weights_and_no_model_is_overwritten() {
    let folder = scenes();
    let folder = folder.path();
    recipe(folder, "new.toml", &format!("[model]\n{SMALL}{FILES}"));
    assert!(train(folder, "new.toml", "run").status.success());
    let calibration = folder.join("run/model/calibration.json");
    std::fs::write(&calibration, "{}").unwrap();
    let export = mue(folder)
        .args(["train", "--device", "flex", "--out", "run", "--export"])
        .output()
        .unwrap();
    assert!(export.status.success(), "{}", stderr(&export));
    assert!(calibration.is_file(), "{}", stderr(&export));

    std::fs::create_dir_all(folder.join("theirs/model")).unwrap();
    let output = train(folder, "new.toml", "theirs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("theirs holds a model already"), "{}", stderr(&output));
}
