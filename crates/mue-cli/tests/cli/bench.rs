//! `mue bench`.

use serde_json::Value;

use crate::{mue, stderr, stdout};

#[test]
fn a_curve_is_json_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["bench", "--seconds", "1", "--rates", "5", "--data", "scenes:seed=1,count=50"];
    let output = mue(folder.path())
        .args(args)
        .args(["--device", "flex", "--json", "--html", "bench.html"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(report["server"]["device"], "flex");
    assert_eq!(report["setup"]["pictures"], 50);
    let points = report["points"].as_array().unwrap();
    let exits: Vec<_> = points.iter().map(|point| point["exit"].as_str().unwrap()).collect();
    assert_eq!(exits, ["off", "auto"]);
    for point in points {
        assert_eq!(point["offered"], points[0]["offered"]);
        assert_eq!(point["statuses"]["200"], point["answered"], "{point}");
        assert!(point["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{point}");
        assert!(point["layers"]["decoder"]["mean"].as_f64().unwrap() >= 1.0, "{point}");
        for field in ["answered_per_s", "saved", "decode_rows_mean"] {
            assert!(point[field].is_number(), "{field}: {point}");
        }
        for stage in ["queue", "preprocess", "encode", "decode"] {
            assert!(point["stages_ms"][stage].is_number(), "{stage}: {point}");
        }
    }
    let page = std::fs::read_to_string(folder.path().join("bench.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("exits auto"));
}

#[test]
fn overhead_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["bench", "--overhead", "--seconds", "0.2", "--data", "scenes:seed=1,count=50"];
    let output = mue(folder.path()).args(args).args(["--device", "flex"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<_> = stdout(&output).lines().filter(|line| line.starts_with("| auto")).collect();
    assert_eq!(rows.len(), 4, "{}", stdout(&output));
    assert!(rows[2].contains("| overhead |"), "{rows:?}");
}

#[test]
fn what_cannot_be_loaded_is_the_users_error() {
    let folder = tempfile::tempdir().unwrap();
    for (args, words) in [
        (&["--url", "https://localhost"][..], "https is not supported"),
        (&["--data", "missing"], "cannot read missing"),
        (&["--html", "missing/page.html"], "cannot write missing/page.html"),
        (&["--exits", "on"], "no exit setting"),
        (&["--exits", "image=0.9,decoder=0.95"], "by `+`: image=0.9+decoder=0.95"),
        (&["--mix", "2"], "between 0 and 1"),
        (&["--overhead", "--overload"], "cannot be used with"),
        (&["--overhead", "--shares", "3"], "cannot be used with"),
        (&["--overhead", "--callers", "9"], "cannot be used with"),
        (&["--overload", "--shares", "3"], "cannot be used with"),
        (&["--key", "abc"], "--url <URL>"),
        (&["--url", "http://localhost/some/prefix"], "has a path"),
        (&["--url", "http://localhost", "--model", "x"], "cannot be used with"),
    ] {
        let output = mue(folder.path()).arg("bench").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}
