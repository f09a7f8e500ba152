//! What a run leaves to be resumed from, and what it refuses to.

use std::path::Path;

use mue_model::Device;
use mue_train::{Encoding, ResumeError, TrainConfig, check_recipe, saved_recipe, saved_weights};

use crate::toy::{config, model, resumed, run, take_back, trainer};

/// Names in the folder of a run's checkpoints.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("checkpoints")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A run of eight steps, which leaves steps 6 and 8.
fn ended() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(&mut trainer(config(8)), folder.path());
    folder
}

/// Why a run with this recipe is not resumed.
fn refusal(recipe: TrainConfig, folder: &Path) -> String {
    let resumed = trainer(recipe).resume(folder, &mut |_| {});
    resumed.unwrap_err().to_string()
}

#[test]
fn two_checkpoints_are_kept_and_half_ones_are_passed_over_and_removed() {
    let folder = ended();
    assert_eq!(names(folder.path()), ["step-00000006", "step-00000008"]);

    // What a kill in the middle of writing leaves behind, and what somebody has put aside.
    let checkpoints = folder.path().join("checkpoints");
    std::fs::remove_dir_all(checkpoints.join("step-00000008")).unwrap();
    for name in [".step-00000007.partial-x", "step-00000006 before"] {
        std::fs::create_dir_all(checkpoints.join(name).join("content")).unwrap();
    }
    let mut resumed = resumed(config(8), folder.path());
    assert_eq!(resumed.step(), 6);
    run(&mut resumed, folder.path());
    assert_eq!(names(folder.path()), ["step-00000006", "step-00000006 before", "step-00000008"]);
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    for file in ["state.json", "state.safetensors"] {
        let folder = ended();
        let damaged = folder.path().join("checkpoints/step-00000008").join(file);
        let bytes = std::fs::read(&damaged).unwrap();
        std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
        let mut trainer = trainer(config(8));
        let mut reasons = Vec::new();
        let mut report = |error: ResumeError| reasons.push(error.to_string());
        assert!(trainer.resume(folder.path(), &mut report).unwrap());
        assert_eq!(trainer.step(), 6);
        assert!(reasons.len() == 1 && reasons[0].contains("step-00000008"), "{reasons:?}");
        assert_eq!(saved_recipe(folder.path()).unwrap(), Some(config(8)));
    }
}

#[test]
fn where_no_checkpoint_can_be_read_the_last_one_tried_is_named() {
    let folder = ended();
    for name in names(folder.path()) {
        std::fs::remove_file(folder.path().join("checkpoints").join(name).join("state.json"))
            .unwrap();
    }
    let mut reasons = Vec::new();
    let outcome = trainer(config(8)).resume(folder.path(), &mut |it| reasons.push(it.to_string()));
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("step-00000006") && reasons[0].contains("step-00000008"), "{error}");
    assert!(saved_recipe(folder.path()).is_err());
}

#[test]
fn what_could_not_be_read_beyond_a_new_checkpoint_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = config(8);
    recipe.run.checkpoint_every = 7;
    run(&mut trainer(recipe), folder.path());
    take_back(folder.path(), 7);
    std::fs::create_dir(folder.path().join("checkpoints/step-00000009")).unwrap();
    let mut trainer = trainer(config(8));
    trainer.resume(folder.path(), &mut |_| {}).unwrap();
    run(&mut trainer, folder.path());
    assert_eq!(names(folder.path()), ["step-00000007", "step-00000008"]);
}

#[test]
fn another_recipe_is_refused_by_what_the_checkpoint_was_made_with() {
    let folder = ended();
    let mut other = config(9);
    other.seed = 7;
    other.model.encoding = Encoding::Joint;
    let error = refusal(other.clone(), folder.path());
    assert!(error.contains("step-00000008 was made by another recipe"), "{error}");
    assert!(
        error.ends_with("with model.encoding = \"decomposed\", seed = 1, steps = 8"),
        "{error}"
    );
    assert_eq!(check_recipe(folder.path(), &other).unwrap_err().to_string(), error);

    // A recipe says what it does not: how the run is logged, saved and spread.
    let mut same = config(8);
    same.run.log_every = 5;
    same.run.checkpoint_every = 5;
    check_recipe(folder.path(), &same).unwrap();
    assert_eq!(resumed(same, folder.path()).step(), 8);
    assert_eq!(saved_recipe(folder.path()).unwrap(), Some(config(8)));
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut trainer(config(1)), folder.path());
    // The recipe is the same; the model that it starts from is not.
    let state = folder.path().join("checkpoints/step-00000001/state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace("\"ffn_dim\": 32", "\"ffn_dim\": 24")).unwrap();
    let mut other = config(1);
    other.model.ffn_dim = 24;
    let error = refusal(other, folder.path());
    assert!(error.contains("step-00000001 is of another model"), "{error}");
}

#[test]
fn the_weights_of_a_run_are_in_its_checkpoint_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut trained = trainer(config(4));
    run(&mut trained, folder.path());
    let model = model(&config(4));
    let (device, none) = (Device::flex(), "no checkpoint is passed over");
    let saved = saved_weights(folder.path(), (&model, &[4]), &device, &mut |_| panic!("{none}"));
    let saved = saved.unwrap().unwrap();
    let expected = trained.export().unwrap();
    assert_eq!(saved.step, 4);
    assert!(saved.tensors.keys().eq(expected.keys()));
    for (name, tensor) in &expected {
        assert!(saved.tensors[name].bytes().unwrap() == tensor.bytes().unwrap(), "{name}");
    }
}

#[test]
fn a_folder_without_checkpoints_has_no_recipe() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(saved_recipe(folder.path()).unwrap(), None);
    check_recipe(folder.path(), &config(1)).unwrap();
    assert!(!trainer(config(1)).resume(folder.path(), &mut |_| {}).unwrap());
}
