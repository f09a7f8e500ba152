//! Commands whose output nobody reads: whatever else they do is done, and told by the exit code.

use std::path::Path;
use std::process::Output;

use crate::checkpoint::imported;
use crate::verify::promise;
use crate::{mue, stderr};

/// Runs it with the other end of its standard output closed.
fn unread(folder: &Path, args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    mue(folder).args(args).stdout(writer).output().unwrap()
}

const DATA: [&str; 6] =
    ["--model", "model", "--task", "entailment", "--data", "scenes:seed=1,count=12"];

#[test]
fn a_report_is_written() {
    let (folder, _) = imported();
    let args = [&["eval", "--timed", "1", "--out", "report"][..], &DATA].concat();
    let output = unread(folder.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for name in ["report.json", "report.md", "report.html"] {
        assert!(folder.path().join("report").join(name).is_file(), "{name}");
    }
}

#[test]
fn a_calibration_is_written() {
    let (folder, model) = imported();
    let calibrate = ["calibrate", "--promise", "0", "--search", "6", "--points", "3"];
    let output = unread(folder.path(), &[&calibrate[..], &DATA].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(model.join("calibration.json").is_file());
}

#[test]
fn a_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let bench = ["bench", "--device", "flex", "--seconds", "1", "--rates", "5", "--exits", "off"];
    let page = ["--data", "scenes:seed=1,count=50", "--html", "bench.html"];
    let output = unread(folder.path(), &[&bench[..], &page].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(folder.path().join("bench.html").is_file());
}

#[test]
fn a_promise_that_is_not_kept_is_told() {
    let (folder, model) = imported();
    promise(&model, "entailment");
    let args = ["verify", "--model", "model", "--task", "entailment", "--seeds", "1"];
    let output = unread(folder.path(), &args);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not kept"), "{}", stderr(&output));
    let fewer = unread(folder.path(), &[&args[..], &["--count", "59"]].concat());
    assert_eq!(fewer.status.code(), Some(0), "nothing is promised of them: {}", stderr(&fewer));
}

#[test]
fn a_picture_that_cannot_be_used_is_told() {
    let (folder, _) = imported();
    let args = ["caption", "missing.png", "picture.png", "--model", "model"];
    let output = unread(folder.path(), &args);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("missing.png"), "{}", stderr(&output));
}
