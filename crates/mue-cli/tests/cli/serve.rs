//! `mue serve`: the life of its process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use crate::checkpoint::write_picture;
use crate::{mue, stderr, stdout};

/// A running server, on a port that the system chose.
pub(crate) struct Serving {
    process: Child,
    pub(crate) url: String,
}

impl Serving {
    /// Starts the demo model's server and waits until it says where it listens.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = mue(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "flex"]);
        command.envs(settings.iter().copied());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut welcome = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut welcome).unwrap();
        let url = welcome.strip_prefix("listening on ").and_then(|rest| rest.split(',').next());
        let url = url.unwrap_or_else(|| panic!("{welcome:?}")).to_owned();
        Self { process, url }
    }

    /// Asks it to stop, as a supervisor does.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended already is no failure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

/// A form with one picture.
pub(crate) fn form(picture: &[u8]) -> Vec<u8> {
    let head = "--edge\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n";
    [head.as_bytes(), picture, b"\r\n--edge--\r\n"].concat()
}

#[test]
fn a_terminated_server_finishes_what_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    write_picture(&picture, 96);
    let body = form(&std::fs::read(picture).unwrap());
    // The request waits for company that never comes, until the drain sends it on.
    let settings = [("MUE_COHORT_WAIT_MS_MAX", "3600000"), ("MUE_DRAIN_S_MAX", "3600")];
    let server = Serving::start(folder.path(), &settings);
    let url = format!("{}/v1/caption", server.url);
    let in_flight = thread::spawn(move || {
        let request =
            agent().post(url).header("content-type", "multipart/form-data; boundary=edge");
        let mut response = request.send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    });
    let queued = || {
        let mut response = agent().get(format!("{}/metrics", server.url)).call().unwrap();
        response.body_mut().read_to_string().unwrap().contains("\nmue_queue_rows 1\n")
    };
    while !queued() {
        assert!(!in_flight.is_finished(), "answered before it was in the queue");
    }
    server.terminate();
    let (status, answer) = in_flight.join().unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"caption\""), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn an_idle_server_leaves_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &[]);
    let ready = agent().get(format!("{}/health/ready", server.url)).call().unwrap();
    assert_eq!(ready.status(), 200);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_whose_model_is_not_ready_leaves_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("mue.json");
    assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());
    let args = ["serve", "--listen", "127.0.0.1:0", "--device", "flex", "--model", "."];
    let process = mue(folder.path()).args(args).stderr(Stdio::null()).spawn().unwrap();
    let server = Serving { process, url: String::new() };
    // Opens when the server reads, which waits for what is never written.
    let _pipe = std::fs::OpenOptions::new().write(true).open(settings).unwrap();
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn valid_settings_are_said_to_be_valid() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.toml"), "rows_max = 8\n").unwrap();
    let args = ["serve", "--check", "--config", "server.toml", "--device", "flex"];
    let output = mue(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "the settings and the model are valid\n");
}

/// One line that says what is wrong, and exit code 2, with `--check` and without.
#[test]
fn what_cannot_be_served_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |command: &mut Command, words: &[&str]| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        let line = stderr(&output).strip_suffix('\n').unwrap();
        assert!(line.starts_with("error: ") && !line.contains('\n'), "{line}");
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    };
    for (settings, words) in [
        ("rows = 8", &["server.toml", "line 1", "rows"][..]),
        ("\nrows_max = \"many\"", &["server.toml", "line 2", "many"]),
        ("rows_max = 0", &["rows"]),
        ("deadline_ms_default = 900000", &["deadline_ms_default", "deadline_ms_max"]),
        ("rows_max = ", &["server.toml", "line 1"]),
    ] {
        std::fs::write(folder.path().join("server.toml"), settings).unwrap();
        for check in [&["--check"][..], &[]] {
            let mut command = mue(folder.path());
            refused(command.args(["serve", "--config", "server.toml"]).args(check), words);
        }
    }
    let serve = |args: &[&str]| {
        let mut command = mue(folder.path());
        command.arg("serve").args(args);
        command
    };
    refused(&mut serve(&["--config", "nowhere.toml"]), &["nowhere.toml"]);
    refused(&mut serve(&["--check", "--model", "nowhere"]), &["nowhere"]);
    refused(serve(&["--check"]).env("MUE_ROWS_MAX", "many"), &["MUE_ROWS_MAX", "many"]);
    refused(serve(&["--check"]).env("MUE_DEVICE", "abacus"), &["abacus"]);
    refused(&mut serve(&["--check", "--listen", "127.0.0.1"]), &["listen", "127.0.0.1"]);
    refused(&mut serve(&["--check", "--otlp-endpoint", "collector"]), &["otlp_endpoint"]);
    if cfg!(not(feature = "otlp")) {
        let args = ["--check", "--otlp-endpoint", "http://127.0.0.1:4318"];
        refused(&mut serve(&args), &["otlp_endpoint", "--features otlp"]);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&mut serve(&["--listen", &address]), &["listen", &address]);
}
