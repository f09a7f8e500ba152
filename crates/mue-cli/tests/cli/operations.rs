//! `mue serve` as its operators know it: signals, log lines, exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::mue;

/// A server on a free port.
struct Serving {
    process: Child,
    welcome: String,
    address: String,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut server = Self::spawn(folder, args, Stdio::piped());
        let mut welcome = String::new();
        BufReader::new(server.process.stdout.take().unwrap()).read_line(&mut welcome).unwrap();
        server.welcomed(welcome);
        server
    }

    /// One of which it is not known yet where it listens.
    fn spawn(folder: &Path, args: &[&str], stdout: Stdio) -> Self {
        let mut command = mue(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--device", "flex"]).args(args);
        command.env("MUE_LOG_FORMAT", "json");
        let mut process = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        Self { process, welcome: String::new(), address: String::new(), log }
    }

    fn welcomed(&mut self, welcome: String) {
        let address = welcome.split("://").nth(1).and_then(|rest| rest.split(',').next());
        self.address = address.expect(&welcome).to_owned();
        self.welcome = welcome;
    }

    /// The status that a request is answered with.
    fn status(&self, path: &str, headers: &str) -> u16 {
        self.answer(path, headers).split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All of the answer to a request.
    fn answer(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        stream.write_all(format!("{head}{headers}\r\n").as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Reads log lines until one says this.
    fn until_logged(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it never said {message:?}");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Over already where a test has waited for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The SHA-256 of `old` and of `new`.
const OLD: &str = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4";
const NEW: &str = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";

fn settings(folder: &Path, text: &str) {
    std::fs::write(folder.join("new.toml"), text).unwrap();
    std::fs::rename(folder.join("new.toml"), folder.join("server.toml")).unwrap();
}

#[test]
fn a_signal_to_end_ends_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Serving::start(folder.path(), &["--threads", "1"]);
    assert!(server.welcome.contains("threads 1,"), "{}", server.welcome);
    assert_eq!(server.status("/health/ready", ""), 200);
    server.signal("TERM");
    server.until_logged("draining");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_is_alive_while_its_model_opens() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("mue.json");
    assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());
    // The server reads what is never written.
    let _pipe = std::fs::File::options().read(true).write(true).open(settings).unwrap();
    let mut server = Serving::spawn(folder.path(), &["--model", "."], Stdio::null());
    let line = server.until_logged("alive, and opening the model");
    server.address = line["address"].as_str().unwrap().to_owned();
    for (path, status) in [("/health/live", 200), ("/health/ready", 503), ("/metrics", 503)] {
        assert_eq!(server.status(path, ""), status, "{path}");
    }
    server.signal("TERM");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_outlives_who_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut server = Serving::spawn(folder.path(), &[], writer.into());
    let line = server.until_logged("nobody reads standard output");
    server.welcomed(line["welcome"].as_str().unwrap().to_owned());
    assert_eq!(server.status("/health/ready", ""), 200);
    server.signal("TERM");
    server.until_logged("draining");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.toml"), "drain_s_max = 3600\n").unwrap();
    let mut server = Serving::start(folder.path(), &["--config", "server.toml"]);
    // A body that does not come.
    let mut slow = TcpStream::connect(&server.address).unwrap();
    let head = "POST /v1/caption HTTP/1.1\r\nhost: localhost\r\n";
    let head = format!("{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    while !server.answer("/metrics", "").contains("\nmue_requests_active 1\n") {}
    server.signal("TERM");
    server.until_logged("draining");
    server.signal("INT");
    server.until_logged("told to stop again: what is in flight is refused");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 503 "), "{answer}");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_request_is_one_line_with_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Serving::start(folder.path(), &[]);
    assert_eq!(server.status("/v1/models", "x-request-id: the-first\r\n"), 200);
    let line = server.until_logged("answered");
    assert_eq!((&line["level"], &line["status"]), (&"INFO".into(), &200.into()), "{line}");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    let span = &line["span"];
    assert_eq!((&span["id"], &span["method"]), (&"the-first".into(), &"GET".into()), "{line}");
    assert_eq!(span["route"], "/v1/models");
}

#[test]
fn a_hangup_loads_the_settings_anew_if_they_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |sha256: &str| format!("api_keys = [{{ name = \"a\", sha256 = \"{sha256}\" }}]\n");
    settings(folder.path(), &keys(OLD));
    let mut server = Serving::start(folder.path(), &["--config", "server.toml"]);
    let (old, new) = ("authorization: Bearer old\r\n", "authorization: Bearer new\r\n");
    assert_eq!((server.status("/v1/models", old), server.status("/v1/models", new)), (200, 401));

    settings(folder.path(), &format!("{}rows = 3\n", keys(NEW)));
    server.signal("HUP");
    let line = server.until_logged("the reload failed; the former settings and model go on");
    assert!(line["cause"].as_str().unwrap().contains("rows"), "{line}");
    assert_eq!((server.status("/v1/models", old), server.status("/v1/models", new)), (200, 401));

    settings(folder.path(), &keys(NEW));
    server.signal("HUP");
    server.until_logged("reloaded");
    assert_eq!((server.status("/v1/models", old), server.status("/v1/models", new)), (401, 200));
}

#[test]
fn settings_that_cannot_hold_are_the_operators_error() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [
        ("MUE_LOG_LEVEL", "mue_server=loud"),
        ("MUE_LOG_FORMAT", "xml"),
        ("MUE_TLS_KEY", "key.pem"),
        ("MUE_IMAGE_URL_HOSTS", "[\"https://example.org/\"]"),
        ("MUE_IMAGE_URL_NETWORKS", "[\"10.0.0.0/99\"]"),
    ];
    for (name, value) in wrong {
        let output = mue(folder.path()).args(["serve", "--check"]).env(name, value).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let key = name.strip_prefix("MUE_").unwrap().to_lowercase();
        let said = String::from_utf8(output.stderr).unwrap().to_lowercase();
        assert!(said.contains(&key) || said.contains("the environment"), "{name}: {said}");
    }
}
