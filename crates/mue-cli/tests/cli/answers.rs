//! `mue caption` and `mue entail`.

use serde_json::{Value, json};

use crate::checkpoint::{imported, imported_with, write_picture};
use crate::{mue, stderr, stdout};

fn json(folder: &std::path::Path, args: &[&str]) -> Value {
    let output = mue(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_caption_says_where_each_token_left() {
    let (folder, _) = imported();
    let full = ["caption", "picture.png", "--model", "model", "--exit", "off", "--json"];
    let answer = json(folder.path(), &full);
    let result = &answer["results"][0];
    assert_eq!(result["image"], "picture.png");
    assert!(result["caption"].is_string());
    assert_eq!(result["exit"]["image"]["layer"], 3);
    assert_eq!(result["exit"]["decoder"]["mean_layer"], 3.0);
    assert_eq!(result["compute"]["macs"], result["compute"]["macs_full"]);
    assert_eq!(result["compute"]["saved"], 0.0);

    let exit = "image=-1,text=-1,decoder=-1"; // every layer is similar enough
    let early = ["caption", "picture.png", "--model", "model", "--exit", exit, "--json"];
    let result = &json(folder.path(), &early)["results"][0];
    assert_eq!(result["exit"]["image"]["layer"], 1);
    assert_eq!(result["exit"]["text"]["layer"], 1);
    assert_eq!(result["exit"]["decoder"]["mean_layer"], 1.0);
    for token in result["exit"]["decoder"]["tokens"].as_array().unwrap() {
        assert_eq!(token["layer"], 1);
    }
    let (macs, full) = (&result["compute"]["macs"], &result["compute"]["macs_full"]);
    assert!(macs.as_u64().unwrap() < full.as_u64().unwrap());
}

#[test]
fn pictures_are_captioned_together_as_each_alone() {
    let (folder, _) = imported();
    write_picture(&folder.path().join("other.png"), 90);
    let base = ["--model", "model", "--beam-size", "2", "--json"];
    let together =
        json(folder.path(), &[&["caption", "picture.png", "other.png"], &base[..]].concat());
    for (place, image) in ["picture.png", "other.png"].iter().enumerate() {
        let alone = json(folder.path(), &[&["caption", image], &base[..]].concat());
        for field in ["image", "caption", "exit", "compute"] {
            assert_eq!(alone["results"][0][field], together["results"][place][field], "{field}");
        }
    }
}

#[test]
fn a_picture_that_cannot_be_used_costs_no_other() {
    let (folder, _) = imported();
    let args = ["caption", "missing.png", "picture.png", "gone.png", "--model", "model"];
    let told = |output: &std::process::Output| {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
        let lines: Vec<_> = stderr(output).lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("missing.png"), "{lines:?}");
        assert!(lines[1].contains("gone.png"), "{lines:?}");
    };
    let output = mue(folder.path()).args(args).output().unwrap();
    told(&output);
    assert!(stdout(&output).starts_with("picture.png: "), "{}", stdout(&output));
    let output = mue(folder.path()).args(args).arg("--json").output().unwrap();
    told(&output);
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    let results = answer["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["image"]), (1, &"picture.png".into()));
}

#[test]
fn more_beams_than_rows_are_the_users_error() {
    // So many ids that the model itself could search so widely.
    let (folder, _) = imported_with(60);
    let args = ["caption", "picture.png", "--model", "model", "--beam-size", "80"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("80 rows") && said.contains("lower --beam-size"), "{said}");
}

#[test]
fn people_see_bars() {
    let (folder, _) = imported();
    let args = ["caption", "picture.png", "--model", "model", "--max-tokens", "3"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert!(stdout(&output).starts_with("picture.png: "));
    assert!(stdout(&output).contains("███ 3/3"), "{}", stdout(&output));
    assert!(!stdout(&output).contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn hypotheses_are_judged_each() {
    let (folder, _) = imported();
    let args = ["entail", "picture.png", "--model", "model", "--json"];
    let sentences = ["--hypothesis", "a dog", "--hypothesis", "two cats", "--premise", "an animal"];
    let answer = json(folder.path(), &[&args[..], &sentences].concat());
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, hypothesis) in results.iter().zip(["a dog", "two cats"]) {
        assert_eq!(
            (&result["image"], &result["hypothesis"]),
            (&"picture.png".into(), &hypothesis.into())
        );
        let word = match result["label"].as_str().unwrap() {
            "entailment" => " yes",
            "neutral" => " maybe",
            _ => " no",
        };
        assert_eq!(result["exit"]["decoder"]["tokens"], json!([{"text": word, "layer": 3}]));
        let scores = result["scores"].as_object().unwrap();
        let best =
            scores.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap()));
        assert_eq!(best.unwrap().0, result["label"].as_str().unwrap());
        let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

#[test]
fn the_picture_may_stand_behind_a_sentence() {
    let (folder, _) = imported();
    let args = ["entail", "--model", "model", "--json", "--hypothesis", "a dog", "picture.png"];
    let results = &json(folder.path(), &args)["results"];
    assert_eq!((&results[0]["hypothesis"], &results[1]), (&"a dog".into(), &Value::Null));
}

#[test]
fn the_mean_layer_is_that_of_the_tokens_listed() {
    let folder = tempfile::tempdir().unwrap();
    let scenes = mue(folder.path()).args(["scenes", "--out", "scenes", "--count", "1"]).output();
    assert!(scenes.unwrap().status.success());
    for beams in ["1", "4"] {
        let caption = ["caption", "scenes/images/000000.png", "--beam-size", beams, "--json"];
        let answer = json(folder.path(), &caption);
        let decoder = &answer["results"][0]["exit"]["decoder"];
        let tokens = decoder["tokens"].as_array().unwrap();
        let layers: f64 = tokens.iter().map(|token| token["layer"].as_f64().unwrap()).sum();
        assert_eq!(decoder["mean_layer"], layers / tokens.len() as f64, "{beams} beams: {decoder}");
    }
}

/// One line that says what and how to mend, and exit code 2.
#[test]
fn what_cannot_be_used_is_said_in_one_line() {
    let (folder, _) = imported();
    std::fs::write(folder.path().join("broken.png"), b"\x89PNG\r\n\x1a\nno picture").unwrap();
    let model = ["--model", "model"];
    for (args, word) in [
        (["caption", "missing.png"], "missing.png"),
        (["caption", "broken.png"], "broken.png"),
        (["caption", "model/mue.json"], "mue.json"),
    ] {
        let output = mue(folder.path()).args(args).args(model).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
        assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{}", stderr(&output));
    }
    for (args, word) in [
        (["--model", "nowhere"], "nowhere"),
        (["--model=model", "--beam-size=0"], "beam"),
        (["--model=model", "--max-tokens=999"], "999"),
        (["--model=model", "--exit=sometimes"], "sometimes"),
        (["--model=model", "--exit=image=95"], "between -2 and 2"),
        (["--model=model", "--device=abacus"], "abacus"),
    ] {
        let output =
            mue(folder.path()).args(["caption", "picture.png"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
        assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn a_device_that_is_not_there_is_said() {
    let (folder, _) = imported();
    if cfg!(feature = "wgpu") {
        return; // then it may be there
    }
    let args = ["caption", "picture.png", "--model", "model", "--device", "wgpu"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--features wgpu"), "{}", stderr(&output));
    assert_eq!(stderr(&output).trim_end().lines().count(), 1);
}

#[test]
fn ndarray_says_the_same_as_flex() {
    let (folder, _) = imported();
    let caption = |device: &str| {
        let args = ["caption", "picture.png", "--model", "model", "--json", "--device", device];
        json(folder.path(), &args)["results"][0]["caption"].clone()
    };
    assert_eq!(caption("flex"), caption("ndarray"));
}
