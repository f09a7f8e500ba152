//! What a client gets that asks for something sensible.

use serde_json::{Value, json};

use crate::folder::LAYERS;
use crate::server::{Server, picture};

fn assert_result(result: &Value) {
    for branch in ["image", "text"] {
        let depth = &result["exit"][branch];
        assert_eq!(depth["layers"], LAYERS);
        assert!((1..=LAYERS as u64).contains(&depth["layer"].as_u64().unwrap()), "{result}");
    }
    assert_eq!(result["exit"]["decoder"]["layers"], LAYERS);
    assert!(result["compute"]["macs"].as_u64() <= result["compute"]["macs_full"].as_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_captioned() {
    let server = Server::new();
    let asked = json!({
        "image": picture([200, 0, 0]),
        "beam_size": 1,
        "max_tokens": 5,
        "exit": {"image": -1.0, "decoder": -1.0},
        "priority": "high",
        "deadline_ms": 60_000,
        "trace": true,
    });
    let response = server.post("/v1/caption", &asked).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let answer = response.json();
    assert_eq!(answer["id"], response.headers["x-request-id"].to_str().unwrap());
    let [result] = answer["results"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_result(result);
    assert!(result["caption"].is_string());
    assert_eq!(result["exit"]["image"]["layer"], 1);
    assert_eq!(result["exit"]["text"]["layer"], LAYERS);
    let tokens = result["exit"]["decoder"]["tokens"].as_array().unwrap();
    assert!(tokens.iter().all(|token| token["layer"] == 1 && token["text"].is_string()));
    assert!(result["compute"]["saved"].as_f64().unwrap() > 0.0);
    for stage in ["queue", "preprocess", "encode", "decode", "total"] {
        assert!(answer["timing_ms"][stage].is_f64(), "{answer}");
    }
    assert_eq!(answer["batch"]["cohort_rows"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_is_read_as_it_is_written_elsewhere() {
    let server = Server::new();
    let encoded = picture([200, 0, 0]);
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    let escaped = encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let mut captions = Vec::new();
    for image in [
        encoded.clone(),
        format!("{}\r\n", lines.join("\r\n")),
        format!(" {}", encoded.replace('+', "-").replace('/', "_").trim_end_matches('=')),
        format!("data:image/png;base64, {encoded}"),
        format!("data:image/png;base64,{escaped}"),
    ] {
        let asked = json!({"image": image, "beam_size": 1, "max_tokens": 4, "exit": "off"});
        let answer = server.post("/v1/caption", &asked).await;
        assert_eq!(answer.status, 200, "{image}: {}", answer.text);
        captions.push(answer.json()["results"].clone());
    }
    assert!(captions.iter().all(|caption| *caption == captions[0]), "{captions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_answered_in_its_order_as_each_alone() {
    let server = Server::new();
    let colours = [[200, 0, 0], [0, 200, 0], [0, 0, 200]];
    let ask = |images: Value| json!({"images": images, "beam_size": 2, "max_tokens": 4, "exit": "off", "trace": false});
    let together = ask(colours.map(picture).to_vec().into());
    let together = server.post("/v1/caption", &together).await.json();
    let results = together["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for (colour, result) in colours.into_iter().zip(results) {
        let alone = server.post("/v1/caption", &ask(vec![picture(colour)].into())).await.json();
        assert_eq!(alone["results"][0]["caption"], result["caption"]);
        assert_eq!(alone["results"][0]["exit"], result["exit"]);
        assert!(result["exit"]["decoder"].get("tokens").is_none(), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_are_judged() {
    let server = Server::new();
    let image = format!("data:image/png;base64,{}", picture([0, 0, 200]));
    let hypotheses = ["a red circle", "a blue square"];
    let asked = json!({"image": image, "hypotheses": hypotheses, "premise": "a picture"});
    let answer = server.post("/v1/entailment", &asked).await.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{answer}");
    for (hypothesis, result) in hypotheses.into_iter().zip(results) {
        assert_result(result);
        assert_eq!(result["hypothesis"], hypothesis);
        let labels = ["entailment", "neutral", "contradiction"];
        let scores = labels.map(|label| result["scores"][label].as_f64().unwrap());
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{scores:?}");
        let best = scores.into_iter().fold(0.0, f64::max);
        assert_eq!(result["scores"][result["label"].as_str().unwrap()], best);
        assert_eq!(result["exit"]["decoder"]["tokens"].as_array().unwrap().len(), 1);
    }
    let alone = json!({"image": image, "hypothesis": hypotheses[1], "premise": "a picture"});
    let alone = server.post("/v1/entailment", &alone).await.json();
    assert_eq!(alone["results"][0]["label"], results[1]["label"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_described() {
    let server = Server::new();
    let models = server.get("/v1/models").await.json();
    let model = &models["models"][0];
    assert_eq!(model["device"], "flex");
    assert_eq!(model["tasks"], json!(["caption", "entailment"]));
    assert_eq!(model["size"]["decoder_layers"], LAYERS);
    assert_eq!(model["limits"]["images_max"], 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hypothesis_has_so_many_tokens() {
    let server = Server::new();
    let models = server.get("/v1/models").await.json();
    let limits = &models["models"][0]["limits"];
    let tokens_max = limits["text_tokens_max"].as_u64().unwrap() as usize;
    assert!(tokens_max < limits["text_words_max"].as_u64().unwrap() as usize, "{limits}");
    let ask = |tokens: usize| {
        let asked = json!({"image": picture([1, 2, 3]), "hypothesis": "a ".repeat(tokens)});
        async { server.post("/v1/entailment", &{ asked }).await }
    };
    assert_eq!(ask(tokens_max).await.status, 200);
    ask(tokens_max + 1).await.assert_problem(422, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_id_if_it_is_a_reasonable_one() {
    let server = Server::new();
    let ask = |id: &str| {
        let request = axum::http::Request::get("/health/live").header("x-request-id", id);
        server.send(request.body(axum::body::Body::empty()).unwrap())
    };
    assert_eq!(ask("abc-1").await.headers["x-request-id"], "abc-1");
    let made = ask(&"x".repeat(500)).await.headers["x-request-id"].clone();
    assert!(made.len() < 50, "{made:?}");
    assert_ne!(ask("a b").await.headers["x-request-id"], "a b");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_counted() {
    let server = Server::new();
    let asked =
        json!({"image": picture([9, 9, 9]), "beam_size": 1, "max_tokens": 3, "exit": "off"});
    server.post("/v1/caption", &asked).await;
    server.post("/v1/caption", &json!({})).await;
    server.get("/no/such/path").await;
    server.until_at_rest().await;
    let metrics = server.get("/metrics").await.text;
    for line in [
        "mue_requests_total{task=\"caption\",outcome=\"ok\"} 1",
        "mue_requests_total{task=\"caption\",outcome=\"invalid_request\"} 1",
        "mue_http_responses_total{route=\"none\",status=\"404\"} 1",
        "mue_exits_total{task=\"caption\",branch=\"image\",layer=\"3\"} 1",
        "mue_early_exits_total{task=\"caption\",branch=\"image\"} 0",
        "mue_layers_possible_total{task=\"caption\",branch=\"image\"} 3",
        "mue_layers_possible_total{task=\"entailment\",branch=\"text\"} 0",
        "mue_stage_duration_seconds_count{task=\"caption\",stage=\"decode\"} 1",
        "mue_active_rows_sum{branch=\"image\",layer=\"1\"} 1",
        "mue_ended_total{outcome=\"finished\",stage=\"decode\"} 1",
        "mue_exit_choices_total{task=\"caption\",choice=\"off\"} 1",
        "mue_image_cache_misses_total 1",
        "mue_image_cache_entries 1",
        "mue_queue_rows_max 512",
        "mue_ended_total{outcome=\"expired\",stage=\"preprocess\"} 0",
        "mue_rejections_total{reason=\"queue_full\"} 0",
        "mue_live_rows 0",
        "mue_model_ready 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    let of_the_prompt = "task=\"caption\",branch=\"text\"";
    assert!(!metrics.contains(of_the_prompt), "captions run nothing through the text branch");
    let described = |name: &str| metrics.contains(&format!("# HELP {name} "));
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in names.filter_map(|line| line.split(' ').next()) {
        assert!(described(name), "{name} has no help");
    }
}
