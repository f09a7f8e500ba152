//! `mue scenes`.

use mue_data::datasets::{DataSpec, DatasetOptions, Task};

use crate::{mue, stderr, stdout};

#[test]
fn files_hold_what_the_data_spec_names() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["scenes", "--out", "made/dev", "--count", "12", "--seed", "3", "--split", "dev"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "wrote 12 scenes (dev) into made/dev\n");
    let spec: DataSpec = "scenes:seed=3,count=12,split=dev".parse().unwrap();
    let options = DatasetOptions::default();
    for task in [Task::Caption, Task::Entailment] {
        let named = spec.open(task, &options).unwrap();
        let written = DataSpec::Path(folder.path().join("made/dev")).open(task, &options).unwrap();
        assert_eq!(written.len(), 12);
        for index in 0..12 {
            let [named, written] = [&named, &written].map(|data| data.sample(index).unwrap());
            assert_eq!((named.id, named.text), (written.id, written.text));
        }
    }
}

#[test]
fn a_folder_with_something_in_it_is_replaced_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("mine"), "mine").unwrap();
    let args = ["scenes", "--out", "out", "--count", "2"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    let output = mue(folder.path()).args(args).arg("--force").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!out.join("mine").exists() && out.join("captions_test.json").is_file());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["--count", "0"][..], "0 is not in 1.."),
        (&["--count", "2", "--split", "val"], "there are train, dev and test"),
        (&[], "--count"),
    ] {
        let output =
            mue(folder.path()).args(["scenes", "--out", "out"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
