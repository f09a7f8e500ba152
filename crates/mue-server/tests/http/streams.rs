//! Tokens as they come.

use std::time::Instant;

use mue_server::Config;
use serde_json::{Value, json};

use crate::server::{Server, picture};

/// The events of a stream: name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim_start().to_owned()
    };
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            let data = field(event, "data:");
            (field(event, "event:"), serde_json::from_str(&data).unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_comes_and_then_the_answer() {
    let server = Server::new();
    let mut asked = json!({
        "images": [picture([200, 0, 0]), picture([0, 200, 0])],
        "beam_size": 1,
        "max_tokens": 4,
    });
    let whole = server.post("/v1/caption", &asked).await.json();
    asked["stream"] = true.into();
    let response = server.post("/v1/caption", &asked).await;
    assert_eq!(response.headers["content-type"], "text/event-stream");
    let events = events(&response.text);
    let (last, tokens) = events.split_last().unwrap();
    assert_eq!(last.0, "result");
    for (index, result) in whole["results"].as_array().unwrap().iter().enumerate() {
        let told: Vec<Value> = tokens
            .iter()
            .filter(|(name, token)| name == "token" && token["index"] == index)
            .map(|(_, token)| json!({"text": token["text"], "layer": token["layer"]}))
            .collect();
        assert_eq!(Value::Array(told), result["exit"]["decoder"]["tokens"]);
        assert_eq!(result["caption"], last.1["results"][index]["caption"]);
    }
    let metrics = server.get("/metrics").await.text;
    let line = "mue_requests_total{task=\"caption\",outcome=\"ok\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_an_event() {
    let server = Server::with(Config { cohort_wait_ms_max: 3_600_000, ..Config::default() });
    let asked = json!({"image": picture([1, 1, 1]), "beam_size": 1, "stream": true});
    let (response, ()) = tokio::join!(server.post("/v1/caption", &asked), async {
        server.until_queued(1).await;
        server.batcher.drain(Instant::now());
    });
    let events = events(&response.text);
    let [(name, problem)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("shutting_down")));
    let metrics = server.get("/metrics").await.text;
    let line = "mue_requests_total{task=\"caption\",outcome=\"shutting_down\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}
