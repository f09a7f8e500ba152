//! Connections that speak TLS.

use std::sync::Arc;

use mue_server::{Config, Tls};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::server::Server;
use crate::socket::{Running, request, rest, status};

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn tls(of: &CertifiedKey<KeyPair>) -> Tls {
    Tls::new(of.cert.pem().as_bytes(), of.signing_key.serialize_pem().as_bytes()).unwrap()
}

/// One request of a client that trusts a single certificate.
async fn call(running: &Running, trusted: &CertifiedKey<KeyPair>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = running.connect().await;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request("GET /health/live", "").as_bytes()).await?;
    Ok(rest(&mut stream).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_and_replaced() {
    let (first, second) = (certificate(), certificate());
    let (server, tls) = (Server::new(), tls(&first));
    let mut running = Running::with(&server, Some(tls.clone())).await;
    assert_eq!(status(&call(&running, &first).await.unwrap()), "200");
    assert!(call(&running, &second).await.is_err());

    let key = second.signing_key.serialize_pem();
    assert!(tls.replace(first.cert.pem().as_bytes(), key.as_bytes()).is_err(), "not its key");
    assert_eq!(status(&call(&running, &first).await.unwrap()), "200", "the former one stays");
    tls.replace(second.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(status(&call(&running, &second).await.unwrap()), "200");
    assert!(call(&running, &first).await.is_err());
    running.stop();
    running.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let server = Server::with(Config { header_ms_max: 50, ..Config::default() });
    let running = Running::with(&server, Some(tls(&certificate()))).await;
    assert_eq!(rest(&mut running.connect().await).await, "");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let pair = certificate();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let refused = |chain: &str, key: &str| Tls::new(chain.as_bytes(), key.as_bytes()).is_err();
    assert!(refused("", &key) && refused(&chain, "") && refused(&key, &chain));
    assert!(!refused(&chain, &key));
}
