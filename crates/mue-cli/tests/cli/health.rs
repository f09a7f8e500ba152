//! `mue health`, as a container's health check runs it.

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

#[test]
fn a_server_with_a_certificate_is_asked_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    // For the name by which others reach it.
    let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let settings = [("MUE_TLS_CERTIFICATE", "chain.pem"), ("MUE_TLS_KEY", "key.pem")];
    let server = Serving::start(folder.path(), &settings);
    let listen = server.url.strip_prefix("https://").unwrap();
    let mut health = mue(folder.path());
    health.arg("health").env("MUE_LISTEN", listen).envs(settings);
    let output = health.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
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
