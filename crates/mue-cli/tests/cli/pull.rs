//! `mue pull` when nothing goes wrong.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::hub::{COMMIT, Hub, REPO, Repo, weights};
use crate::{mue, stderr, stdout};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn fetches_what_a_model_folder_needs() {
    let hub = Hub::start(Repo::tiny_ofa());
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", REPO, "--endpoint", &hub.api.url()]).output().unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    let line = format!("pulled {REPO} at commit {COMMIT} into tiny-ofa: 2 files");
    assert!(stdout(&output).starts_with(&line), "{}", stdout(&output));
    assert_eq!(names(folder.path()), ["tiny-ofa"]);
    let model = folder.path().join("tiny-ofa");
    assert_eq!(names(&model), ["config.json", "model.safetensors"]);
    assert_eq!(fs::read(model.join("config.json")).unwrap(), b"{\"d_model\": 8}");
    assert_eq!(fs::read(model.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let hub = Hub::start(Repo::tiny_ofa());
    let folder = tempfile::tempdir().unwrap();
    let output = mue(folder.path())
        .args(["pull", REPO])
        .env("HF_ENDPOINT", hub.api.url())
        .env("HF_TOKEN", "hf_private")
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    let to_hub = hub.api.requests();
    assert!(to_hub.iter().all(|it| it.header("authorization") == Some("Bearer hf_private")));
    let to_storage = hub.storage.requests();
    assert!(!to_storage.is_empty());
    assert!(to_storage.iter().all(|it| it.header("authorization").is_none()));
    assert!(!format!("{output:?}").contains("hf_private"));
}

#[test]
fn help_does_not_print_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", "--help"]).env("HF_TOKEN", "hf_private").output().unwrap();
    assert!(stdout(&output).contains("HF_TOKEN"));
    assert!(!stdout(&output).contains("hf_private"));
}

#[test]
fn fetches_shards_with_their_index() {
    let repo = Repo::default()
        .small("model.safetensors.index.json", b"{}")
        .large("model-00001-of-00002.safetensors", b"first")
        .large("model-00002-of-00002.safetensors", b"second")
        .large("pytorch_model.bin", b"the same in another form");
    let hub = Hub::start(repo);
    let folder = tempfile::tempdir().unwrap();
    let output = mue(folder.path())
        .args(["pull", REPO, "--out", "deep/model", "--endpoint", &hub.api.url()])
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    let model = folder.path().join("deep/model");
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    assert_eq!(names(&model), [&shards[..], &["model.safetensors.index.json"]].concat());
    assert_eq!(fs::read(model.join(shards[1])).unwrap(), b"second");
}

#[test]
fn all_means_every_file() {
    let repo = Repo::tiny_ofa().small("empty.txt", b"").small("notes/empty.txt", b"");
    let hub = Hub::start(repo);
    let folder = tempfile::tempdir().unwrap();
    let output = mue(folder.path())
        .args(["pull", REPO, "--all", "--endpoint", &hub.api.url()])
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    let model = folder.path().join("tiny-ofa");
    let all = ["README.md", "config.json", "empty.txt", "model.safetensors", "notes"];
    assert_eq!(names(&model), all);
    assert_eq!(names(&model.join("notes")), ["empty.txt"]);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let hub = Hub::start(Repo::tiny_ofa());
    let folder = tempfile::tempdir().unwrap();
    let mut child = mue(folder.path())
        .args(["pull", REPO, "--endpoint", &hub.api.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());

    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}
