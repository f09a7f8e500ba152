//! README's curl commands, as they stand there.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::serve::Serving;
use crate::{mue, stderr, stdout};

const README: &str = include_str!("../../../../README.md");

/// Where README's server listens.
const DOCUMENTED: &str = "http://127.0.0.1:8080";

/// What stands behind a prompt in the console blocks, with the lines that it goes on in.
fn commands() -> Vec<String> {
    let blocks = README.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands = blocks.flat_map(|block| block.split("$ ").skip(1));
    commands.map(|command| command.trim_end().to_owned()).collect()
}

/// Runs one, as somebody would who has done what comes before it; curl adds the status on stderr.
fn run(command: &str, folder: &Path, url: &str) -> Output {
    let settings = "write-out = \"%{stderr}%{http_code}\"\n";
    std::fs::write(folder.join(".curlrc"), settings).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["-c", &command.replace(DOCUMENTED, url)]).current_dir(folder);
    for name in ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        bash.env_remove(name);
    }
    bash.env("CURL_HOME", folder).output().unwrap()
}

/// The answer in what curl wrote: JSON, or the last event of a stream.
fn answer(output: &Output) -> Value {
    let text = stdout(output);
    let result = text.split("event: result\ndata: ").nth(1);
    serde_json::from_str(result.unwrap_or(text)).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn curl_is_answered() {
    if Command::new("curl").arg("--version").output().is_err() {
        let required = std::env::var_os("MUE_CURL_REQUIRED").is_some();
        assert!(!required, "curl is not installed, and MUE_CURL_REQUIRED asks for it");
        println!("NOT RUN: README's commands need curl, which is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let commands = commands();
    let scenes = commands.iter().find_map(|command| command.strip_prefix("mue scenes ")).unwrap();
    let made = mue(folder.path()).arg("scenes").args(scenes.split(' ')).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let server = Serving::start(folder.path(), &[]);

    let curls: Vec<_> = commands.iter().filter(|command| command.contains("curl ")).collect();
    let has = |words: &str| curls.iter().any(|command| command.contains(words));
    assert!(has("-F image=@") && has("base64") && has("stream=true") && has("/v1/entailment"));
    for command in curls {
        assert!(command.contains(DOCUMENTED), "{command}");
        let output = run(command, folder.path(), &server.url);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        assert_eq!(stderr(&output), "200", "{command}: {}", stdout(&output));
        let answer = answer(&output);
        for field in ["id", "model", "results", "timing_ms", "batch"] {
            assert!(answer.get(field).is_some(), "{command}: no {field} in {answer}");
        }
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), command.matches("hypotheses=").count().max(1));
        let fields = match command.contains("/v1/caption") {
            true => ["caption", "score", "exit", "compute"].as_slice(),
            false => &["hypothesis", "label", "scores", "exit", "compute"],
        };
        for (result, field) in
            results.iter().flat_map(|result| fields.iter().map(move |f| (result, f)))
        {
            assert!(result.get(field).is_some(), "{command}: no {field} in {result}");
        }
    }
}
