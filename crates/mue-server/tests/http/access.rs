//! Who may ask.

use axum::body::Body;
use axum::http::{Method, Request};
use mue_server::{ApiKey, Config, Digest};

use crate::server::{Response, Server};

async fn ask(server: &Server, path: &str, authorization: &str) -> Response {
    let request = Request::get(path).header("authorization", authorization);
    server.send(request.body(Body::empty()).unwrap()).await
}

fn guarded() -> Config {
    let key = |name: &str, key: &str| ApiKey {
        name: name.into(),
        sha256: Digest::of(key),
        requests_per_minute_max: 0,
    };
    Config {
        api_keys: vec![key("alice", "sesame"), key("bob", "abracadabra")],
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_knows_and_does_needs_a_key_and_its_pages_do_not() {
    let server = Server::with(guarded());
    for path in ["/v1/models", "/metrics"] {
        let refused = server.get(path).await;
        refused.assert_problem(401, "unauthorized");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        for wrong in ["Bearer open", "Basic sesame", "sesame", "Bearer "] {
            ask(&server, path, wrong).await.assert_problem(401, "unauthorized");
        }
        assert_eq!(ask(&server, path, "Bearer sesame").await.status, 200);
        assert_eq!(ask(&server, path, "bearer abracadabra").await.status, 200);
    }
    let body = serde_json::json!({});
    for path in ["/v1/caption", "/v1/entailment", "/v1/admin/reload"] {
        server.post(path, &body).await.assert_problem(401, "unauthorized");
    }
    for path in ["/health/live", "/health/ready", "/openapi.json", "/docs", "/"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_be_public() {
    let server = Server::with(Config { metrics_public: true, ..guarded() });
    assert_eq!(server.get("/metrics").await.status, 200);
    server.get("/v1/models").await.assert_problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_known_origins_may_ask() {
    let origins = vec!["https://example.org".into()];
    let server = Server::with(Config { cors_origins: origins, ..guarded() });
    let ask = |origin: &str| {
        let request = Request::builder().method(Method::OPTIONS).uri("/v1/caption");
        let request = request.header("access-control-request-method", "POST");
        server.send(request.header("origin", origin).body(Body::empty()).unwrap())
    };
    let known = ask("https://example.org").await;
    assert_eq!(known.status, 200);
    assert_eq!(known.headers["access-control-allow-origin"], "https://example.org");
    let allowed = known.headers["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("traceparent") && allowed.contains("tracestate"), "{allowed}");
    let unknown = ask("https://example.com").await;
    assert!(!unknown.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_whether_they_may_ask_has_not_asked_for_a_caption() {
    let server = Server::with(Config { cors_origins: vec!["*".into()], ..Config::default() });
    for method in [Method::OPTIONS, Method::GET] {
        let request = Request::builder().method(method).uri("/v1/caption");
        let request = request.header("access-control-request-method", "POST");
        let request = request.header("origin", "https://example.org");
        server.send(request.body(Body::empty()).unwrap()).await;
    }
    let metrics = server.get("/metrics").await.text;
    let requests = metrics.lines().filter(|line| line.starts_with("mue_requests_total{"));
    assert!(requests.clone().count() > 2, "{metrics}");
    assert!(requests.clone().all(|line| line.ends_with(" 0")), "{metrics}");
    assert!(!metrics.contains("mue_request_duration_seconds_count"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_ask_for_leave_is_answered_by_the_route() {
    let server = Server::with(Config { cors_origins: vec!["*".into()], ..Config::default() });
    for half in ["x-no-preflight", "origin", "access-control-request-method"] {
        let ask = |path: &str| {
            let request = Request::builder().method(Method::OPTIONS).uri(path);
            server.send(request.header(half, "POST").body(Body::empty()).unwrap())
        };
        let refused = ask("/v1/caption").await;
        refused.assert_problem(405, "method_not_allowed");
        assert_eq!(refused.headers["allow"], "POST");
        ask("/v2/caption").await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_ask_so_often() {
    let mut config = guarded();
    config.api_keys[0].requests_per_minute_max = 2;
    let server = Server::with(config);
    assert_eq!(ask(&server, "/v1/models", "Bearer sesame").await.status, 200);
    assert_eq!(ask(&server, "/metrics", "Bearer sesame").await.status, 200);
    let refused = ask(&server, "/v1/models", "Bearer sesame").await;
    refused.assert_problem(429, "rate_limited");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    for _ in 0..5 {
        assert_eq!(ask(&server, "/v1/models", "Bearer abracadabra").await.status, 200);
    }
    ask(&server, "/v1/models", "Bearer open").await.assert_problem(401, "unauthorized");
}
