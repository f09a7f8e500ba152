//! `mue health`, as a container's health check runs it.

use std::path::Path;

use crate::serve::Serving;
use crate::server::{Reply, Server};
use crate::{mue, stderr, stdout};

#[test]
fn a_server_is_ready_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for (status, code) in [(200, 0), (503, 1)] {
        let server = Server::start(move |_| Reply::status(status));
        let listen = server.url().replace("http://", "");
        let output = mue(folder.path()).arg("health").env("MUE_LISTEN", listen).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
        assert_eq!(server.requests()[0].path, "/health/ready");
    }
}

/// Writes a certificate for the name by which others reach the server.
fn write_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn a_server_with_a_certificate_is_asked_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let settings = [("MUE_TLS_CERTIFICATE", "chain.pem"), ("MUE_TLS_KEY", "key.pem")];
    let server = Serving::start(folder.path(), &settings);
    let listen = server.url.strip_prefix("https://").unwrap();
    let mut health = mue(folder.path());
    health.arg("health").env("MUE_LISTEN", listen).envs(settings);
    let output = health.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_certificate_may_be_the_secret_of_the_servers_settings() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let file = "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n";
    std::fs::write(folder.path().join("server.toml"), file).unwrap();
    let server = Serving::start(folder.path(), &[("MUE_CONFIG", "server.toml")]);
    let listen = server.url.strip_prefix("https://").unwrap();
    let output = mue(folder.path()).arg("health").env("MUE_LISTEN", listen).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));

    // By a URL, whose certificate is checked unless it is not to be.
    for (args, code) in [(&[&server.url[..]][..], 1), (&[&server.url[..], "--insecure"], 0)] {
        let output = mue(folder.path()).arg("health").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn what_does_not_answer_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let output = mue(folder.path()).args(["health", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&url), "{}", stderr(&output));
}
