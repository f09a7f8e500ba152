//! `mue eval` and `mue calibrate`.

use serde_json::Value;

use crate::checkpoint::imported;
use crate::{mue, stderr, stdout};

const DATA: &str = "scenes:seed=1,count=12";

fn run(folder: &std::path::Path, args: &[&str]) -> String {
    let output = mue(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).to_owned()
}

#[test]
fn full_depth_and_exits_are_measured_in_one_run() {
    let (folder, _) = imported();
    let base = ["eval", "--data", DATA, "--model", "model", "--timed", "2"];
    let exit = ["--exit", "image=-1,text=-1,decoder=-1", "--out", "report", "--json"];
    let tasks = ["--task", "caption", "--task", "entailment"];
    let text = run(folder.path(), &[&base[..], &exit, &tasks].concat());
    let report: Value = serde_json::from_str(&text).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    for task in ["caption", "entailment"] {
        let report = &report[task];
        assert_eq!(report["samples"], 12);
        assert_eq!(report["timed_samples"], 2);
        for branch in ["image", "text", "decoder"] {
            assert_eq!(number(&report["full"]["layers"][branch]), 3.0, "{task} {branch}");
            assert_eq!(number(&report["exit"]["layers"][branch]), 1.0, "{task} {branch}");
        }
        let saved = 1.0 - number(&report["exit"]["macs"]) / number(&report["full"]["macs"]);
        let interval = &report["intervals"]["macs_saved"];
        assert!((number(&report["macs_saved"]) - saved).abs() < 1e-9);
        // Where every sample saves the same, the interval is a point, up to rounding.
        assert!(number(&interval["low"]) <= saved + 1e-9);
        assert!(saved - 1e-9 <= number(&interval["high"]));
        assert!(number(&report["full"]["wall_ms_p50"]) > 0.0 && report["wall_saved"].is_f64());
    }
    let (captions, labels) = (&report["caption"], &report["entailment"]);
    assert!(captions["full"]["quality"]["cider_d"].is_f64());
    assert!(captions["full"]["quality"]["exact_match"].is_f64());
    assert!(captions["canonical_cider_d"].is_f64());
    assert!(labels["full"]["quality"]["accuracy"].is_f64());
    assert!(!labels["full"]["quality"]["families"].as_object().unwrap().is_empty());
    let confusion = labels["exit"]["quality"]["confusion"].as_object().unwrap();
    let answers = confusion.values().flat_map(|row| row.as_object().unwrap().values());
    assert_eq!(answers.map(|count| count.as_u64().unwrap()).sum::<u64>(), 12);
    assert!(labels["full"]["quality"]["labels"]["neutral"].get("recall").is_some());
    assert_eq!((&labels["left_out"], &labels["disputed"]), (&0.into(), &0.into()));

    let read = |name: &str| std::fs::read_to_string(folder.path().join("report").join(name));
    assert_eq!(serde_json::from_str::<Value>(&read("report.json").unwrap()).unwrap(), report);
    let markdown = read("report.md").unwrap();
    for row in ["| MMAC per request |", "| BLEU-1 / 2 / 3 / 4 |", "| answers to neutral: "] {
        assert!(markdown.contains(row), "{row}");
    }
    let page = read("report.html").unwrap();
    assert!(page.contains("<svg") && page.contains("MMAC per request"));
    let results: Value = serde_json::from_str(&read("captions.json").unwrap()).unwrap();
    assert_eq!(results.as_array().unwrap().len(), 12);
    assert!(results[0]["image_id"].is_u64() && results[0]["caption"].is_string());
}

#[test]
fn exit_rules_and_other_models_share_a_frontier() {
    let (folder, _) = imported();
    let base = ["eval", "--task", "entailment", "--data", DATA, "--model", "model", "--timed", "1"];
    let frontier = ["--frontier", "--tune", "scenes:seed=2,count=12,split=dev", "--out", "report"];
    let row = ["--row", "the same again=model"];
    let text = run(folder.path(), &[&base[..], &frontier, &row].concat());
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).unwrap();
    assert_eq!(text, read("report.md"));
    assert!(
        text.contains("$ mue eval --task entailment") && text.contains("--row 'the same again=m")
    );
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    let rows = report["entailment"]["frontier"]["rows"].as_array().unwrap();
    let named = |rule: &str| rows.iter().find(|row| row["rule"] == rule);
    assert_eq!(rows[0]["rule"], "full");
    assert!(named("auto").is_none(), "nothing is calibrated");
    let again: Vec<&Value> = rows.iter().filter(|row| row["model"] == "the same again").collect();
    for field in ["quality", "macs", "layers"] {
        assert_eq!(again[0][field], rows[0][field], "the same weights at full depth");
    }
    assert!(read("report.html").contains("the same again"));

    let same = ["--frontier", "--tune", "scenes:count=20,seed=1"];
    let output = mue(folder.path()).args([&base[..], &same].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "tuned on what is tested");
    let alone = mue(folder.path()).args([&base[..], &["--frontier"]].concat()).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "--frontier needs --tune");
}

#[test]
fn what_was_calibrated_is_how_the_model_exits() {
    let (folder, model) = imported();
    let base = ["--data", DATA, "--model", "model", "--task", "entailment"];
    let mue_before = mue(folder.path()).arg("eval").args(base).args(["--exit", "mue"]).output();
    assert_eq!(mue_before.unwrap().status.code(), Some(2), "nothing is calibrated yet");

    let calibrate = ["calibrate", "--promise", "0", "--search", "6", "--points", "3"];
    let table = run(folder.path(), &[&calibrate[..], &base].concat());
    assert!(table.starts_with("### entailment"), "{table}");
    let json = std::fs::read(model.join("calibration.json")).unwrap();
    let calibration: Value = serde_json::from_slice(&json).unwrap();
    let points = calibration["entailment"]["points"].as_array().unwrap();
    assert!((1..=3).contains(&points.len()));
    for point in points {
        assert_eq!((&point["samples"], &point["confidence"]), (&6.into(), &0.95.into()));
    }
    assert!(calibration["caption"]["points"].as_array().unwrap().is_empty());
    let mue = &calibration["entailment"]["mue"];
    assert!(mue["retention_low"].is_f64() && mue["samples"] == 6 && table.contains("(mue)"));
    for exit in ["mue", "auto", "quality=0"] {
        let args = ["eval", "--timed", "1", "--exit", exit];
        assert!(run(folder.path(), &[&args[..], &base].concat()).contains("### Entailment"));
    }
    let promised = |exit: &str| {
        let args = ["eval", "--timed", "1", "--json", "--exit", exit];
        let text = run(folder.path(), &[&args[..], &base].concat());
        let report: Value = serde_json::from_str(&text).unwrap();
        report["entailment"]["promised"].clone()
    };
    // Told to four places, never more than is promised.
    let told = promised("mue").as_f64().unwrap();
    assert!((0.0..1e-4).contains(&(mue["retention_low"].as_f64().unwrap() - told)), "{told}");
    assert_eq!(promised("off"), Value::Null);
}

#[test]
fn data_and_samples_must_be_there() {
    let (folder, _) = imported();
    let eval = ["eval", "--task", "caption", "--model", "model"];
    let calibrate = ["calibrate", "--task", "caption", "--model", "model"];
    for (args, word) in [
        ([&eval[..], &["--data", "nowhere"]].concat(), "nowhere"),
        ([&calibrate[..], &["--data", DATA, "--search", "12"]].concat(), "certify"),
        ([&calibrate[..], &["--data", DATA, "--confidence", "1"]].concat(), "confidence"),
    ] {
        let output = mue(folder.path()).args(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

#[test]
fn nothing_is_calibrated_before_all_data_is_there() {
    let (folder, model) = imported();
    run(folder.path(), &["scenes", "--out", "made", "--count", "4"]);
    let calibrate = ["calibrate", "--model", "model", "--data", "made/snli_ve_test.jsonl"];
    let tasks = ["--task", "entailment", "--task", "caption", "--search", "2", "--points", "2"];
    let output = mue(folder.path()).args(calibrate).args(tasks).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(!model.join("calibration.json").exists());
}

#[test]
fn promises_are_checked_on_fresh_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let base = ["verify", "--seeds", "2", "--count", "6", "--task", "entailment", "--json"];
    let output = mue(folder.path()).args(base).output().unwrap();
    let verdicts: Value = serde_json::from_str(stdout(&output)).unwrap();
    let verdict = &verdicts[0];
    assert_eq!(verdict["task"], "entailment");
    let promise = verdict["promise"].as_f64().unwrap();
    let retention: Vec<f64> = verdict["retention"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found.as_f64().unwrap())
        .collect();
    let kept = retention.iter().filter(|found| **found >= promise).count();
    assert_eq!((retention.len(), &verdict["kept"]), (2, &Value::from(kept)));
    assert_eq!(output.status.code(), Some(0), "so few samples only tell: {}", stderr(&output));

    let nothing = mue(folder.path()).args(base).args(["--exit", "off"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2), "full depth promises nothing");
    assert!(stderr(&nothing).contains("nothing is promised"), "{}", stderr(&nothing));
}

/// Six scenes as Karpathy's file would have them, of which one picture is gone.
fn karpathy(folder: &std::path::Path) {
    run(folder, &["scenes", "--out", "made", "--count", "6", "--split", "test"]);
    let images = (0..6).map(|id| {
        let split = if id < 4 { "test" } else { "val" };
        let sentences = [serde_json::json!({ "raw": "a small red square" })];
        let filename = format!("{id:06}.png");
        serde_json::json!({ "filename": filename, "cocoid": id, "split": split, "sentences": sentences })
    });
    let file = serde_json::json!({ "images": images.collect::<Vec<_>>() });
    std::fs::write(folder.join("dataset.json"), file.to_string()).unwrap();
    std::fs::remove_file(folder.join("made/images/000002.png")).unwrap();
}

#[test]
fn a_split_of_a_file_is_measured_and_what_cannot_be_read_is_said() {
    let (folder, _) = imported();
    karpathy(folder.path());
    let base = ["eval", "--task", "caption", "--data", "dataset.json", "--model", "model"];
    let output = |more: &[&str]| mue(folder.path()).args(base).args(more).output().unwrap();
    let options = ["--images", "made/images", "--timed", "1", "--json", "--split", "test"];
    let refused = output(&options);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("000002.png"), "{}", stderr(&refused));
    let borne = [&options[..], &["--problems-max", "1"]].concat();
    let found = output(&borne);
    assert!(stderr(&found).contains("left out: ") && stderr(&found).contains("000002.png"));
    let report: Value = serde_json::from_str(stdout(&found)).unwrap();
    assert_eq!(report["caption"]["samples"], 3);
    assert_eq!(report["data"], "dataset.json (test)");
    assert!(report["caption"]["canonical_cider_d"].is_null(), "files have no canonical captions");
    let tune = ["--frontier", "--tune", "./dataset.json", "--tune-split"];
    let both = output(&[&borne[..], &tune, &["test"]].concat());
    assert!(stderr(&both).contains("samples in common"), "{}", stderr(&both));
    let apart = output(&[&borne[..], &tune, &["val"]].concat());
    assert!(apart.status.success(), "{}", stderr(&apart));
}

/// Entailment data with sentences that no model can be asked about, far more than are told.
fn odd_hypotheses(folder: &std::path::Path) {
    run(folder, &["scenes", "--out", "made", "--count", "2", "--split", "test"]);
    let line = |sentence: &str| {
        serde_json::json!({ "Flickr30K_ID": "000000.png", "gold_label": "neutral",
            "sentence1": "", "sentence2": sentence })
        .to_string()
    };
    let mut lines = vec![line("a red square"), line("...")];
    lines.extend((0..24).map(|_| "no JSON".to_owned()));
    std::fs::write(folder.join("odd.jsonl"), lines.join("\n")).unwrap();
}

#[test]
fn what_cannot_be_asked_is_left_out_like_what_cannot_be_read() {
    let (folder, _) = imported();
    odd_hypotheses(folder.path());
    let base = ["eval", "--task", "entailment", "--data", "odd.jsonl", "--model", "model"];
    let options = ["--images", "made/images", "--timed", "1", "--json", "--problems-max"];
    let output =
        |most: &str| mue(folder.path()).args(base).args(options).arg(most).output().unwrap();
    let found = output("24");
    let report: Value = serde_json::from_str(stdout(&found)).unwrap();
    let report = &report["entailment"];
    assert_eq!((&report["samples"], &report["left_out"]), (&1.into(), &25.into()));
    let said = stderr(&found);
    assert!(said.contains("odd.jsonl:2: the hypothesis is empty"), "{said}");
    assert!(said.contains("left out: 4 more, 24 in all"), "{said}");
    assert_eq!(output("23").status.code(), Some(2));
}

#[test]
fn what_no_number_or_name_can_mean_is_the_users_error() {
    let (folder, _) = imported();
    karpathy(folder.path());
    run(folder.path(), &["scenes", "--out", "files", "--count", "4", "--split", "test"]);
    let eval = ["eval", "--task", "entailment", "--model", "model", "--timed", "1"];
    let tune = ["--frontier", "--tune", "files"];
    let file = ["--data", "files/snli_ve_test.jsonl"];
    for (args, word) in [
        ([&eval[..], &file, &tune].concat(), "samples in common"),
        ([&eval[..], &file, &["--split", "val"]].concat(), "no splits"),
        ([&eval[..], &["--data", DATA, "--split", "val"]].concat(), "no splits"),
        ([&eval[..], &["--data", "scenes:seed=1,count=18446744073709551615"]].concat(), "count is"),
        ([&eval[..], &file, &["--out", "dataset.json"]].concat(), "cannot make dataset.json"),
        (vec!["verify", "--seed", "18446744073709551615", "--seeds", "5"], "no 5 seeds"),
        (vec!["verify", "--task", "caption", "--count", "1", "--seeds", "1"], "no quality"),
    ] {
        let output = mue(folder.path()).args(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
}
