//! The `mue` binary, tested as its users run it.

#![allow(clippy::panic, clippy::unwrap_used)] // helpers outside `#[test]` functions

mod answers;
mod bench;
mod checkpoint;
mod eval;
mod health;
mod hub;
mod import;
mod operations;
mod pull;
mod pull_refusals;
mod pull_resume;
mod readme;
mod scenes;
mod serve;
mod server;
#[cfg(feature = "otlp")]
mod spans;
mod train;
mod unread;
mod verify;

use std::path::Path;
use std::process::{Command, Output};

/// `mue`, run in `folder` without the settings of whoever runs the tests.
fn mue(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mue"));
    command.current_dir(folder);
    for name in ["HF_TOKEN", "HF_ENDPOINT"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether `mue serve` might read this variable.
fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("MUE_") || name.starts_with("OTEL_"))
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn says_its_version_and_commands() {
    let folder = tempfile::tempdir().unwrap();
    let version = mue(folder.path()).arg("--version").output().unwrap();
    assert_eq!(stdout(&version), concat!("mue ", env!("CARGO_PKG_VERSION"), "\n"));

    let help = mue(folder.path()).arg("--help").output().unwrap();
    assert!(stdout(&help).contains("Examples:") && stdout(&help).contains("pull"));
}

#[test]
fn a_bad_argument_is_the_users_error() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["fly"][..],
        &["pull"],
        &["pull", "../x"],
        &["pull", "x", "--endpoint", "ftp://h"],
        &["entail"],
        &["caption", "x.png", "--devise", "flex"],
    ] {
        let output = mue(folder.path()).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "));
        assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{}", stderr(&output));
    }
}
