//! `mue pull` over a line that breaks.

use std::fs;

use crate::hub::{Hub, REPO, Repo, weights};
use crate::server::Reply;
use crate::{mue, stderr};

const CUT: usize = 300_000;

fn cut(reply: Reply) -> Reply {
    Reply { cut_after: Some(CUT), ..reply }
}

#[test]
fn goes_on_from_the_byte_where_the_line_broke() {
    let hub = Hub::with_fault(
        Repo::tiny_ofa(),
        |before, reply| {
            if before == 0 { cut(reply) } else { reply }
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", REPO, "--endpoint", &hub.api.url()]).output().unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("trying again"), "{}", stderr(&output));
    assert_eq!(hub.ranges(), [None, Some(format!("bytes={CUT}-"))]);
    assert_eq!(fs::read(folder.path().join("tiny-ofa/model.safetensors")).unwrap(), weights());
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_stopped() {
    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, reply| match before {
        0 => cut(reply),
        1 => Reply::status(403),
        _ => reply,
    });
    let folder = tempfile::tempdir().unwrap();
    let mut pull = mue(folder.path());
    pull.args(["pull", REPO, "--endpoint", &hub.api.url()]);

    let first = pull.output().unwrap();
    assert_eq!(first.status.code(), Some(2), "{}", stderr(&first));
    assert!(!folder.path().join("tiny-ofa").exists());
    assert!(folder.path().join("tiny-ofa.partial").exists());

    let second = pull.output().unwrap();
    assert!(second.status.success(), "{}", stderr(&second));
    assert_eq!(hub.ranges().last().unwrap().as_deref(), Some("bytes=300000-"));
    assert_eq!(fs::read(folder.path().join("tiny-ofa/model.safetensors")).unwrap(), weights());
    assert!(!folder.path().join("tiny-ofa.partial").exists());
}

#[test]
fn starts_over_when_the_server_knows_no_ranges() {
    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, reply| match before {
        0 => cut(reply),
        _ => Reply::status(200).body(weights()),
    });
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", REPO, "--endpoint", &hub.api.url()]).output().unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hub.ranges().len(), 2);
    assert_eq!(fs::read(folder.path().join("tiny-ofa/model.safetensors")).unwrap(), weights());
}

#[test]
fn starts_over_when_the_server_sends_another_range() {
    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, reply| match before {
        0 => cut(reply),
        1 => Reply::status(206).header("Content-Range", "bytes 7-9/1000000").body("odd"),
        _ => reply,
    });
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", REPO, "--endpoint", &hub.api.url()]).output().unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hub.ranges(), [None, Some(format!("bytes={CUT}-")), None]);
    assert_eq!(fs::read(folder.path().join("tiny-ofa/model.safetensors")).unwrap(), weights());
}

#[test]
fn asks_again_when_the_storage_is_overloaded() {
    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, reply| match before {
        0 => Reply::status(503),
        _ => reply,
    });
    let folder = tempfile::tempdir().unwrap();
    let output =
        mue(folder.path()).args(["pull", REPO, "--endpoint", &hub.api.url()]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hub.ranges().len(), 2);
}

#[test]
fn damaged_content_is_refused_and_fetched_anew() {
    let hub = Hub::with_fault(Repo::tiny_ofa(), |before, mut reply| {
        if before == 0 {
            reply.body[12_345] ^= 1;
        }
        reply
    });
    let folder = tempfile::tempdir().unwrap();
    let mut pull = mue(folder.path());
    pull.args(["pull", REPO, "--endpoint", &hub.api.url()]);

    let first = pull.output().unwrap();
    assert_eq!(first.status.code(), Some(1));
    assert!(stderr(&first).contains("error: model.safetensors arrived damaged"));
    assert!(!folder.path().join("tiny-ofa").exists());

    let second = pull.output().unwrap();
    assert!(second.status.success(), "{}", stderr(&second));
    assert_eq!(hub.ranges(), [None, None]);
    assert_eq!(fs::read(folder.path().join("tiny-ofa/model.safetensors")).unwrap(), weights());
}
