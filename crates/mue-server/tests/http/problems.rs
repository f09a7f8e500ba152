//! What a client is told that asks for something else.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::server::{Server, picture, post};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read() {
    let server = Server::new();
    let send = |body: &'static str| server.send(post("/v1/caption", body));
    send("").await.assert_problem(400, "malformed_body");
    send("{\"image\": ").await.assert_problem(400, "malformed_body");
    send("{\"image\": 1}").await.assert_problem(422, "invalid_request");
    send("{\"picture\": \"\"}").await.assert_problem(422, "invalid_request");
    let text = Request::post("/v1/caption").header("content-type", "text/plain");
    let response = server.send(text.body(Body::from("{}")).unwrap()).await;
    response.assert_problem(415, "unsupported_media_type");
    assert!(!response.headers.contains_key("accept-encoding"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_as_it_is() {
    let server = Server::new();
    let send = |coding: &'static str| {
        let mut request = post("/v1/caption", json!({"image": picture([1, 2, 3])}).to_string());
        request.headers_mut().insert("content-encoding", coding.parse().unwrap());
        server.send(request)
    };
    for coding in ["gzip", "identity, br"] {
        let refused = send(coding).await;
        refused.assert_problem(415, "unsupported_encoding");
        assert_eq!(refused.headers["accept-encoding"], "identity");
        assert!(refused.text.contains(&coding[coding.len() - 2..]), "{}", refused.text);
    }
    for coding in ["identity", "Identity", ""] {
        assert_eq!(send(coding).await.status, 200, "{coding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_that_make_no_sense() {
    let server = Server::new();
    let image = picture([1, 2, 3]);
    for (asked, code) in [
        (json!({}), "invalid_request"),
        (json!({"image": image, "images": [image]}), "invalid_request"),
        (json!({"images": []}), "invalid_request"),
        (json!({"image": image, "beam_size": 0}), "invalid_request"),
        (json!({"image": image, "beam_size": 9}), "invalid_request"),
        (json!({"image": image, "max_tokens": 0}), "invalid_request"),
        (json!({"image": image, "max_tokens": 64}), "invalid_request"),
        (json!({"image": image, "exit": "fast"}), "invalid_request"),
        (json!({"image": image, "exit": {"quality": 0.9}}), "invalid_request"),
        (json!({"image": image, "deadline_ms": 0}), "invalid_request"),
        (json!({"image": image, "priority": "urgent"}), "invalid_request"),
        (json!({"image": "?"}), "invalid_image"),
        (json!({"image": "aGVsbG8="}), "invalid_image"),
        (json!({"images": [image, "ftp://example.org/cat.png"]}), "invalid_image"),
    ] {
        server.post("/v1/caption", &asked).await.assert_problem(422, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_another_type_are_named() {
    let server = Server::new();
    let image = picture([1, 2, 3]);
    for (field, value) in [
        ("exit", json!([0.99])),
        ("exit", json!([0.9, 0.9, 0.9])),
        ("exit", json!({"auto": null})),
        ("priority", json!({"high": null})),
        ("priority", json!(null)),
        ("priority", json!(5)),
        ("priority", json!([])),
        ("beam_size", json!(1.5)),
        ("trace", json!("yes")),
    ] {
        let mut asked = json!({"image": image});
        asked[field] = value;
        let response = server.post("/v1/caption", &asked).await;
        response.assert_problem(422, "invalid_request");
        assert!(
            response.json()["detail"].as_str().unwrap().starts_with(field),
            "{}",
            response.text
        );
    }
    let list = json!([image, null, 1, 16, "auto", "normal", null, true, false]);
    server.post("/v1/caption", &list).await.assert_problem(422, "invalid_request");
    let whole = json!({"image": image, "beam_size": 1.0, "max_tokens": 2.0});
    assert_eq!(server.post("/v1/caption", &whole).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_not_quoted_at_length() {
    let server = Server::new();
    let long = "x".repeat(100_000);
    let wrong = json!({"image": "", "beam_size": long}).to_string();
    let unknown = format!("{{\"{long}\": 1}}");
    for (body, end) in [(wrong, "expected usize at line 1 column"), (unknown, "`stream`")] {
        let response = server.send(post("/v1/caption", body)).await;
        response.assert_problem(422, "invalid_request");
        assert!(response.text.len() < 1000, "{}", response.text);
        assert!(response.text.contains(end), "{}", response.text);
    }
    let mut coded = post("/v1/caption", "{}");
    coded.headers_mut().insert("content-encoding", long[..10_000].parse().unwrap());
    let response = server.send(coded).await;
    response.assert_problem(415, "unsupported_encoding");
    assert!(response.text.len() < 1000, "{}", response.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_that_cannot_be_judged() {
    let server = Server::new();
    let ask = |text: Value| json!({"image": picture([1, 2, 3]), "hypothesis": text});
    for text in [Value::Null, "".into(), "x".repeat(5000).into(), "word ".repeat(79).into()] {
        server.post("/v1/entailment", &ask(text)).await.assert_problem(422, "invalid_request");
    }
    let none = json!({"image": picture([1, 2, 3]), "hypotheses": []});
    server.post("/v1/entailment", &none).await.assert_problem(422, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods_that_are_not_there() {
    let server = Server::new();
    server.get("/v2/caption").await.assert_problem(404, "not_found");
    let response = server.get("/v1/caption").await;
    response.assert_problem(405, "method_not_allowed");
    assert_eq!(response.headers["allow"], "POST");
}
