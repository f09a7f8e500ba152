//! What a client is told that asks for too much.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use mue_server::Config;
use serde_json::json;

use crate::reloads::slow_body;
use crate::server::{Server, picture, post, while_others_block};

/// No picture at all: whoever looks at it says so.
const BROKEN: &str = "?";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_told_before_any_picture_is_looked_at() {
    let server = Server::with(Config { queue_rows_max: 4, ..Config::default() });
    let asked = json!({"images": [BROKEN, BROKEN], "beam_size": 1});
    let permit = server.batcher.reserve(3, Instant::now()).unwrap();
    let response = server.post("/v1/caption", &asked).await;
    response.assert_problem(429, "queue_full");
    assert!(response.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    drop(permit);
    server.post("/v1/caption", &asked).await.assert_problem(422, "invalid_image");
    assert_eq!(server.batcher.load().reserved_rows, 0, "a refused list gives its rows back");
    let too_many = json!({"images": [BROKEN, BROKEN, BROKEN], "beam_size": 2});
    server.post("/v1/caption", &too_many).await.assert_problem(422, "too_many_rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_valid_takes_no_rows_and_decodes_nothing() {
    let config = Config { queue_rows_max: 8, rows_max: 4, ..Config::default() };
    let server = Server::with(config);
    let _permit = server.batcher.reserve(7, Instant::now()).unwrap();
    let images = [BROKEN, BROKEN];
    for (field, value, code) in [
        ("max_tokens", json!(64), "invalid_request"),
        ("exit", json!({"quality": 0.9}), "invalid_request"),
        ("deadline_ms", json!(0), "invalid_request"),
        ("beam_size", json!(5), "too_many_rows"),
    ] {
        let mut asked = json!({"images": images, "beam_size": 1});
        asked[field] = value;
        server.post("/v1/caption", &asked).await.assert_problem(422, code);
    }
    for hypotheses in [["a", ""], ["a", &"a ".repeat(79)]] {
        let asked = json!({"image": BROKEN, "hypotheses": hypotheses});
        server.post("/v1/entailment", &asked).await.assert_problem(422, "invalid_request");
    }
    let asked = json!({"images": images, "beam_size": 1});
    server.post("/v1/caption", &asked).await.assert_problem(429, "queue_full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_any_room_makes_nothing_of_a_body() {
    let server = Server::with(Config { queue_rows_max: 4, ..Config::default() });
    let permit = server.batcher.reserve(4, Instant::now()).unwrap();
    server.send(post("/v1/caption", "no JSON")).await.assert_problem(429, "queue_full");
    let mut patient = post("/v1/caption", Body::new(NeverEnding));
    patient.headers_mut().insert("expect", "100-continue".parse().unwrap());
    server.send(patient).await.assert_problem(429, "queue_full");
    drop(permit);
    server.send(post("/v1/caption", "no JSON")).await.assert_problem(400, "malformed_body");
    assert_eq!(server.batcher.load().reserved_rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_size() {
    let server = Server::with(Config { body_bytes_max: 100, ..Config::default() });
    let response = server.send(post("/v1/caption", "x".repeat(101))).await;
    response.assert_problem(413, "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_size_together() {
    let config = Config { body_bytes_max: 1000, bodies_bytes_max: 1000, ..Config::default() };
    let server = Server::with(config);
    let (_, body, rest) = slow_body();
    let first = post("/v1/caption", body);
    let first = tokio::spawn(tower::ServiceExt::oneshot(server.router(), first));
    // When there is room for the third part, the first has been counted.
    for part in [" ".repeat(600), " ".into(), " ".into()] {
        rest.send(part.into()).await.unwrap();
    }
    let ask = || server.send(post("/v1/caption", " ".repeat(600)));
    let refused = ask().await;
    refused.assert_problem(429, "too_many_requests");
    assert_eq!(refused.headers["retry-after"], "1");
    drop(rest);
    assert_eq!(first.await.unwrap().unwrap().status(), 400);
    ask().await.assert_problem(400, "malformed_body");
}

#[test]
fn a_body_counts_until_its_pictures_are_decoded() {
    while_others_block(async || {
        let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1}).to_string();
        let bytes = asked.len();
        let config = Config { body_bytes_max: bytes, bodies_bytes_max: bytes, ..Config::default() };
        let server = Server::with(config);
        let first = tower::ServiceExt::oneshot(server.router(), post("/v1/caption", asked));
        let first = tokio::spawn(first);
        while server.batcher.load().reserved_rows == 0 {
            tokio::task::yield_now().await;
        }
        let refused = server.send(post("/v1/caption", "{}")).await;
        refused.assert_problem(429, "too_many_requests");
        first.abort();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_time() {
    let server = Server::with(Config { body_ms_max: 1, ..Config::default() });
    let response = server.send(post("/v1/caption", Body::new(NeverEnding))).await;
    response.assert_problem(408, "body_too_slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_to_be_there_by_the_deadline() {
    let server = Server::with(Config { deadline_ms_default: 1, ..Config::default() });
    let response = server.send(post("/v1/caption", Body::new(NeverEnding))).await;
    response.assert_problem(504, "deadline_exceeded");
}

#[test]
fn a_body_waits_to_be_parsed_no_longer_than_any_deadline() {
    while_others_block(async || {
        let config = Config { deadline_ms_default: 10, deadline_ms_max: 10, ..Config::default() };
        let server = Server::with(config);
        let response = server.send(post("/v1/caption", " ".repeat(1 << 20))).await;
        response.assert_problem(504, "deadline_exceeded");
        server.until_metric("mue_ended_total{outcome=\"expired\",stage=\"body\"} 1").await;
    });
}

#[test]
fn many_long_texts_wait_to_be_tokenized_no_longer_than_their_deadline() {
    while_others_block(async || {
        let server = Server::new();
        // Nobody gets as far as to say that it is too long for the model.
        let premise = "a ".repeat(2000);
        let hypotheses = vec!["a"; 64];
        let asked = json!({
            "image": BROKEN, "premise": premise, "hypotheses": hypotheses, "deadline_ms": 10,
        });
        let response = server.post("/v1/entailment", &asked).await;
        response.assert_problem(504, "deadline_exceeded");
        let expired = "mue_ended_total{outcome=\"expired\",stage=\"preprocess\"} 64";
        server.until_metric(expired).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_as_far_as_it_may_go() {
    let server = Server::with(Config { images_max: 2, hypotheses_max: 3, ..Config::default() });
    let list = |most: usize| format!("[{}", "\"\",".repeat(most + 1));
    for (path, field, most) in [("caption", "images", 2), ("entailment", "hypotheses", 3)] {
        // Even of one that does not end.
        let asked = format!("{{\"{field}\": {}", list(most));
        for padding in [0, 1 << 20] {
            let asked = format!("{}{asked}", " ".repeat(padding));
            let response = server.send(post(&format!("/v1/{path}"), asked)).await;
            response.assert_problem(422, "invalid_request");
            let detail = response.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with(&format!("{field}: more than {most} items")), "{detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_whole_is_bounded_too() {
    let server = Server::with(Config { images_max: 2, hypotheses_max: 2, ..Config::default() });
    for path in ["/v1/caption", "/v1/entailment"] {
        let asked = format!("{{\"exit\": {{\"image\": [{}", "0,".repeat(3));
        let response = server.send(post(path, asked)).await;
        response.assert_problem(422, "invalid_request");
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("exit: more than 2 items"), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caption_has_so_many_beams_and_tokens_whatever_the_model_would_have() {
    let config = Config { beam_size_max: 2, caption_tokens_max: 4, ..Config::default() };
    let server = Server::with(config);
    let model = server.get("/v1/models").await.json()["models"][0].clone();
    let search = &model["search"];
    assert_eq!((&search["beam_size"], &search["max_tokens"]), (&json!(2), &json!(4)));
    assert_eq!(model["limits"]["max_tokens_max"], 4);
    let image = picture([1, 1, 1]);
    for (field, most) in [("beam_size", 2), ("max_tokens", 4)] {
        let mut asked = json!({"image": image});
        asked[field] = json!(most + 1);
        let response = server.post("/v1/caption", &asked).await;
        response.assert_problem(422, "invalid_request");
        let detail = format!("{field} must be between 1 and {most}");
        assert_eq!(response.json()["detail"], detail);
    }
    let answer = server.post("/v1/caption", &json!({"image": image, "exit": "off"})).await.json();
    assert_eq!(answer["batch"]["decode_rows_mean"], 2.0, "{answer}");
    let tokens = answer["results"][0]["exit"]["decoder"]["tokens"].as_array().unwrap();
    assert!(tokens.len() <= 4, "{answer}");
}

/// The body of a client that sends nothing and stays.
struct NeverEnding;

impl HttpBody for NeverEnding {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_a_size() {
    let server = Server::with(Config { image_pixels_max: 100, ..Config::default() });
    let response = server.post("/v1/caption", &json!({"image": picture([0, 0, 0])})).await;
    response.assert_problem(422, "image_too_large");
    let server = Server::with(Config { image_bytes_max: 10, ..Config::default() });
    let response = server.post("/v1/caption", &json!({"image": picture([0, 0, 0])})).await;
    response.assert_problem(422, "image_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_are_bounded() {
    let server = Server::with(Config { requests_max: 1, ..waiting() });
    let first = tokio::spawn({
        let router = server.router();
        let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1}).to_string();
        tower::ServiceExt::oneshot(router, post("/v1/caption", asked))
    });
    server.until_queued(1).await;
    let response = server.post("/v1/caption", &json!({"image": BROKEN})).await;
    response.assert_problem(429, "too_many_requests");
    assert_eq!(response.headers["retry-after"], "1");
    assert_eq!(server.get("/health/ready").await.status, 200, "health takes no place");
    first.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_what_waits() {
    let server = Server::with(waiting());
    let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1, "deadline_ms": 20});
    server.post("/v1/caption", &asked).await.assert_problem(504, "deadline_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_frees_its_rows() {
    let server = Server::with(waiting());
    let asked = json!({"images": [picture([1, 1, 1]), picture([2, 2, 2])], "beam_size": 1});
    let asked = post("/v1/caption", asked.to_string());
    let call = tokio::spawn(tower::ServiceExt::oneshot(server.router(), asked));
    server.until_queued(2).await;
    call.abort();
    server.until_queued(0).await;
    let metrics = server.get("/metrics").await.text;
    let line = "mue_requests_total{task=\"caption\",outcome=\"cancelled\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let line = "mue_ended_total{outcome=\"cancelled\",stage=\"queue\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

/// Requests wait for company that never comes.
fn waiting() -> Config {
    Config { cohort_wait_ms_max: 3_600_000, ..Config::default() }
}
