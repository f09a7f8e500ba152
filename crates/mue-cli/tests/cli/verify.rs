//! `mue verify` on promises that are made up.

use std::path::Path;

use serde_json::json;

use crate::checkpoint::imported;
use crate::{mue, stderr};

/// Promises that a task's default exits, which are full depth, keep twice what full depth keeps.
pub(crate) fn promise(model: &Path, task: &str) {
    let point = json!({
        "exits": {},
        "retention": 1.0,
        "retention_low": 2.0,
        "confidence": 0.95,
        "fresh": 60,
        "macs": 1.0,
        "macs_full": 2.0,
        "layers": [3.0, 3.0, 3.0],
        "data": "made up",
        "samples": 60
    });
    let calibration = json!({ task: { "auto": {}, "points": [point] } });
    std::fs::write(model.join("calibration.json"), calibration.to_string()).unwrap();
}

#[test]
fn nothing_is_checked_before_all_promises_are_there() {
    let (folder, model) = imported();
    promise(&model, "caption");
    // A caption alone has no quality, which would be said first.
    let args = ["verify", "--model", "model", "--seeds", "1", "--count", "1"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing is promised"), "{}", stderr(&output));
}
