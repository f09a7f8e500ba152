//! Parity with the public PyTorch OFA on golden cases.
//!
//! A folder of cases is taken from `MUE_GOLDENS` (default: `shared/goldens` beside the workspace);
//! the cases of a tiny model beside this file always run. Whatever a case needs is read from its
//! own files: dimensions, weights (a file, or the recipe), thresholds, tolerances. A case that has
//! inputs and expectations, but none that tells its kind, fails. Of the shared folder any kinds will
//! do; with `MUE_GOLDENS_REQUIRED` it has to be there, to have a case, and to have whatever its
//! `SHA256SUMS` lists, if there is one.
//!
//! `MUE_GOLDENS_DEVICES` lists the devices (default `flex,ndarray`). `default` is the device that
//! burn prefers in this build, which is the GPU when built with `--features burn/wgpu`; there the
//! tolerances are ten times as wide, and ids and exit layers still exact.

#![allow(clippy::panic, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)] // helpers outside `#[test]` functions

mod beam;
mod case;
mod checkpoints;
mod entailment;
mod exits;
mod folder;
mod joint;
mod mue;
mod recipe;

use std::path::{Path, PathBuf};

use mue_model::Device;

use case::{Case, Report};

/// A device to run the cases on, and how much wider than stated its tolerances are.
struct Target {
    name: String,
    device: Device,
    slack: f32,
}

fn targets() -> Vec<Target> {
    let names = std::env::var("MUE_GOLDENS_DEVICES").unwrap_or_else(|_| "flex,ndarray".into());
    names.split(',').map(|name| target(name.trim())).collect()
}

fn target(name: &str) -> Target {
    #[allow(deprecated)] // the older CPU backend is served, so it is tested
    let (device, slack) = match name {
        "flex" => (Device::flex(), 1.0),
        "ndarray" => (Device::ndarray(), 1.0),
        "default" => (Device::default(), 10.0),
        other => panic!("MUE_GOLDENS_DEVICES: no device is called {other}"),
    };
    Target { name: format!("{name} ({device:?})"), device, slack }
}

/// The folder of the repository's cases.
fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// Whether the shared cases are demanded.
fn required() -> bool {
    std::env::var_os("MUE_GOLDENS_REQUIRED").is_some()
}

/// The folder of shared cases, if there is one.
fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match std::env::var_os("MUE_GOLDENS") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            assert!(folder.is_dir(), "MUE_GOLDENS is {}, which is no folder", folder.display());
            Some(folder)
        }
        None => Some(root.join("../../../shared/goldens")).filter(|folder| folder.is_dir()),
    }
}

/// Runs one kind of case on every device; returns how many there are.
fn run_all(folder: &Path, kind: &str, run: impl Fn(&Case, &Device, &mut Report)) -> usize {
    let mut cases = folder::cases(folder);
    cases.retain(|case| folder::kind(case) == Some(kind));
    for path in &cases {
        let case = Case::open(path);
        for target in targets() {
            let mut report = Report::new(&case, target.slack);
            run(&case, &target.device, &mut report);
            report.finish(&target.name);
        }
    }
    cases.len()
}

/// Runs one kind of case in the repository's own folder and in the shared one.
fn run_kind(kind: &str, run: impl Fn(&Case, &Device, &mut Report)) {
    assert!(run_all(&own(), kind, &run) > 0, "the repository has a {kind} case");
    match shared() {
        Some(folder) => {
            let count = run_all(&folder, kind, &run);
            println!("{count} {kind} case(s) in {}", folder.display());
        }
        None => skipped(),
    }
}

/// Says that the shared cases did not run, or fails if they were demanded.
fn skipped() {
    let why = "no shared golden cases: set MUE_GOLDENS to their folder";
    assert!(!required(), "{why}");
    eprintln!("skipped: {why}");
}

#[test]
fn every_case_is_known_and_those_demanded_are_there() {
    let folders = std::iter::once(own()).chain(shared());
    let complaints: Vec<String> =
        folders.flat_map(|folder| folder::complaints(&folder, required())).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn joint() {
    run_kind("joint", joint::run);
}

#[test]
fn decomposed() {
    run_kind("mue", mue::run);
}

#[test]
fn exits_and_greedy_decoding() {
    run_kind("mue-exit", exits::run);
}

#[test]
fn beam_search() {
    run_kind("beam", beam::run_plain);
}

#[test]
fn beam_search_with_exits() {
    run_kind("mue-beam", beam::run_exits);
}

#[test]
fn entailment() {
    run_kind("entailment", entailment::run);
}

#[test]
fn checkpoint_layouts() {
    match shared() {
        Some(folder) if folder.join("checkpoints").is_dir() => checkpoints::run(&folder),
        Some(folder) => println!("no checkpoints in {}", folder.display()),
        None => skipped(),
    }
}
