//! `mue pull` where it must refuse, and say why.

use std::fs::{self, File};
use std::path::Path;

use crate::hub::{Hub, REPO, Repo};
use crate::server::{Reply, Server};
use crate::{mue, stderr};

/// Runs a pull that must fail for the user's fault, and returns its last line.
fn refusal(folder: &Path, endpoint: &str, extra: &[&str]) -> String {
    let output = mue(folder)
        .args(["pull", REPO, "--endpoint", endpoint])
        .args(extra)
        .env("HF_TOKEN", "hf_private")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!stderr(&output).contains("hf_private"));
    stderr(&output).lines().last().unwrap().to_owned()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_closed_hub_is_explained() {
    for (status, cause, remedy) in [
        (401, "wants a valid login (401): Who are you?", "check the name"),
        (403, "refuses access (403): Who are you?", "accept the terms"),
        (404, "has no such thing (404): Who are you?", "--revision"),
    ] {
        let server =
            Server::start(move |_| Reply::status(status).header("X-Error-Message", "Who are you?"));
        let folder = tempfile::tempdir().unwrap();
        let line = refusal(folder.path(), &server.url(), &[]);
        let start = format!("error: cannot get {REPO} at main: the hub {cause}; ");
        assert!(line.starts_with(&start) && line.contains(remedy), "{line}");
        assert!(is_empty(folder.path()));
    }
}

#[test]
fn an_unknown_revision_is_explained() {
    let hub = Hub::start(Repo::tiny_ofa());
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(folder.path(), &hub.api.url(), &["--revision", "a/b"]);
    assert!(line.contains(&format!("cannot get {REPO} at a/b")), "{line}");
    assert!(hub.api.requests()[0].path.ends_with("/revision/a%2Fb"));
}

#[test]
fn a_server_that_is_no_hub_is_explained() {
    for body in ["<html>", "{\"sha\": \"../..\"}"] {
        let server = Server::start(move |_| Reply::status(200).body(body));
        let folder = tempfile::tempdir().unwrap();
        let line = refusal(folder.path(), &server.url(), &[]);
        assert!(line.contains("cannot understand") && line.contains("--endpoint"), "{line}");
    }
}

#[test]
fn a_redirect_to_another_protocol_is_refused() {
    let server = Server::start(|_| Reply::status(302).header("Location", "file:///etc/passwd"));
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(folder.path(), &server.url(), &[]);
    assert!(line.contains("redirects to an unusable address"), "{line}");
}

#[test]
fn a_repository_without_weights_is_refused() {
    let hub = Hub::start(Repo::default().small("config.json", b"{}"));
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(folder.path(), &hub.api.url(), &[]);
    assert!(line.contains("has no weights that mue can read"), "{line}");
    assert!(is_empty(folder.path()));
}

#[test]
fn file_names_cannot_leave_the_folder() {
    for (name, extra) in [
        ("../evil.txt", &["--all"][..]),
        ("/etc/evil", &["--all"]),
        ("a/../../evil", &["--all"]),
        ("..\\evil.safetensors", &[]),
    ] {
        let hub = Hub::start(Repo::default().small(name, b"evil"));
        let folder = tempfile::tempdir().unwrap();
        let line = refusal(folder.path(), &hub.api.url(), extra);
        assert!(line.contains("unsafe name"), "{line}");
        assert!(is_empty(folder.path()));
        assert_eq!(hub.api.requests().len(), 1);
    }
}

#[test]
fn an_existing_folder_is_replaced_only_by_force_and_only_whole() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny-ofa");
    fs::create_dir(&model).unwrap();
    fs::write(model.join("old.txt"), "old").unwrap();

    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, reply| match before {
        0 => Reply::status(403),
        _ => reply,
    });
    let line = refusal(folder.path(), &hub.api.url(), &[]);
    assert!(line.contains("already exists") && line.contains("--force"), "{line}");
    assert!(hub.api.requests().is_empty());

    refusal(folder.path(), &hub.api.url(), &["--force"]);
    assert!(model.join("old.txt").exists());

    let output = mue(folder.path())
        .args(["pull", REPO, "--force", "--endpoint", &hub.api.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!model.join("old.txt").exists() && model.join("model.safetensors").exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_is_never_replaced_by_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny-ofa"), "a file").unwrap();
    let line = refusal(folder.path(), "http://127.0.0.1:1", &["--force"]);
    assert!(line.contains("cannot be replaced"), "{line}");
}

#[test]
fn two_pulls_do_not_write_to_one_folder() {
    let hub = Hub::start(Repo::tiny_ofa());
    let folder = tempfile::tempdir().unwrap();
    let partial = folder.path().join("tiny-ofa.partial");
    fs::create_dir(&partial).unwrap();
    let other = File::create(partial.join("lock")).unwrap();
    other.try_lock().unwrap();
    let line = refusal(folder.path(), &hub.api.url(), &[]);
    assert!(line.contains("another pull is writing"), "{line}");
}
