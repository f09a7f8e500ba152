//! Pictures as files of a form.

use axum::body::Body;
use axum::http::Request;
use mue_server::Config;
use serde_json::json;

use crate::server::{Response, Server, picture, png};

/// Sends a form of text fields and pictures.
async fn send<T: AsRef<[u8]>>(
    server: &Server,
    path: &str,
    texts: &[(&str, T)],
    files: &[Vec<u8>],
) -> Response {
    let mut body = Vec::new();
    for (name, text) in texts {
        let part = "--edge\r\ncontent-disposition: form-data; name=";
        body.extend(format!("{part}\"{name}\"\r\n\r\n").bytes());
        body.extend(text.as_ref());
        body.extend(b"\r\n");
    }
    for file in files {
        let part = "--edge\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"";
        body.extend(format!("{part}\r\ncontent-type: image/png\r\n\r\n").bytes());
        body.extend(file);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    let request = Request::post(path).header("content-type", "multipart/form-data; boundary=edge");
    server.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_answered_as_its_json() {
    let server = Server::new();
    let colours = [[200, 0, 0], [0, 0, 200]];
    let texts = [("beam_size", "1"), ("max_tokens", "4"), ("exit", "off"), ("trace", "true")];
    let form = send(&server, "/v1/caption", &texts, &colours.map(png)).await.json();
    let asked = json!({
        "images": colours.map(picture), "beam_size": 1, "max_tokens": 4, "exit": "off"
    });
    let json = server.post("/v1/caption", &asked).await.json();
    assert_eq!(form["results"], json["results"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_come_by_name() {
    let server = Server::new();
    let texts = [("hypotheses", "a red circle"), ("hypotheses", "12"), ("exit", "{\"text\": 0.5}")];
    let form = send(&server, "/v1/entailment", &texts, &[png([1, 2, 3])]).await.json();
    assert_eq!(form["results"][1]["hypothesis"], "12", "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_has_so_many_parts() {
    let config = Config { images_max: 2, hypotheses_max: 2, ..Config::default() };
    let (server, files) = (Server::with(config), vec![png([1, 2, 3]); 3]);
    let texts = [("exit", "off")];
    send(&server, "/v1/caption", &texts, &files).await.assert_problem(422, "invalid_request");
    assert_eq!(send(&server, "/v1/caption", &texts, &files[..2]).await.status, 200);
    let texts = [("hypotheses", "a"); 3];
    let refused = send(&server, "/v1/entailment", &texts, &files[..1]).await;
    refused.assert_problem(422, "invalid_request");
    assert!(refused.text.contains("hypotheses occurs more than 2 times"), "{}", refused.text);
    assert_eq!(send(&server, "/v1/entailment", &texts[..2], &files[..1]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_utf_8() {
    let server = Server::new();
    let texts = [("hypothesis", b"a \xff circle")];
    let refused = send(&server, "/v1/entailment", &texts, &[png([1, 2, 3])]).await;
    refused.assert_problem(400, "malformed_body");
    assert!(refused.text.contains("hypothesis: the text is not UTF-8"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_may_be_wrong() {
    let server = Server::new();
    let picture = png([1, 2, 3]);
    let ask = async |texts: &[(&str, &str)], files: &[Vec<u8>]| {
        send(&server, "/v1/caption", texts, files).await
    };
    ask(&[], &[]).await.assert_problem(422, "invalid_request");
    ask(&[("beams", "1")], std::slice::from_ref(&picture))
        .await
        .assert_problem(422, "invalid_request");
    let twice = [("beam_size", "1"), ("beam_size", "2")];
    ask(&twice, &[picture]).await.assert_problem(422, "invalid_request");
    ask(&[], &[b"hello".to_vec()]).await.assert_problem(422, "invalid_image");
    ask(&[("beam_size", "null")], &[png([1, 2, 3])]).await.assert_problem(422, "invalid_request");
    let request = Request::post("/v1/caption")
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(Body::from("--edge\r\n"))
        .unwrap();
    server.send(request).await.assert_problem(400, "malformed_body");
}
