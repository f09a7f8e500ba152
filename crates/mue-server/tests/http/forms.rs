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
    let named = |name: &str| format!("name=\"{name}\"");
    let texts = texts.iter().map(|(name, text)| (named(name), text.as_ref()));
    let file = |file| (String::from("name=\"image\"; filename=\"a.png\""), file);
    let files = files.iter().map(Vec::as_slice).map(file);
    send_parts(server, path, texts.chain(files)).await
}

/// Sends a form of parts: what follows `form-data` in the disposition, and the content.
async fn send_parts(
    server: &Server,
    path: &str,
    parts: impl IntoIterator<Item = (String, &[u8])>,
) -> Response {
    let mut body = Vec::new();
    for (names, content) in parts {
        body.extend(format!("--edge\r\ncontent-disposition: form-data; {names}\r\n\r\n").bytes());
        body.extend(content);
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
async fn a_field_of_another_name_is_named_before_anybody_reads_it() {
    let (server, picture) = (Server::new(), png([1, 2, 3]));
    for name in ["images", "image[]", "file", "Image"] {
        let names = format!("name=\"{name}\"; filename=\"a.png\"");
        let refused = send_parts(&server, "/v1/caption", [(names, picture.as_slice())]).await;
        refused.assert_problem(422, "invalid_request");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(&format!("unknown field `{name}`")), "{detail}");
        assert!(
            detail.contains("send files as `image`") && detail.contains("`beam_size`"),
            "{detail}"
        );
    }
    let nameless = [(String::from("filename=\"a.png\""), picture.as_slice())];
    let refused = send_parts(&server, "/v1/caption", nameless).await;
    refused.assert_problem(422, "invalid_request");
    assert!(refused.text.contains("a field without a name"), "{}", refused.text);
    let of_another_task = [("hypothesis", "a"), ("stream", "true")];
    let refused = send(&server, "/v1/entailment", &of_another_task, &[picture]).await;
    assert!(refused.text.contains("unknown field `stream`"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_may_be_a_text_that_says_so() {
    let server = Server::new();
    let uri = format!("data:image/png;base64,{}", picture([200, 0, 0]));
    let texts = [("image", uri.as_str()), ("beam_size", "1"), ("exit", "off")];
    let text = send(&server, "/v1/caption", &texts, &[]).await.json();
    let file = send(&server, "/v1/caption", &texts[1..], &[png([200, 0, 0])]).await.json();
    assert!(text["results"][0]["caption"].is_string(), "{text}");
    assert_eq!(text["results"], file["results"]);
    let url = [("image", "http://example.org/cat.png")];
    send(&server, "/v1/caption", &url, &[]).await.assert_problem(422, "image_url_refused");
    // Without a file name, and still a file.
    let nameless = [("image", png([200, 0, 0]))];
    assert_eq!(send(&server, "/v1/caption", &nameless, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_not_chosen_is_none() {
    let (server, picture) = (Server::new(), png([1, 2, 3]));
    let not_chosen = || (String::from("name=\"image\"; filename=\"\""), &b""[..]);
    let chosen = (String::from("name=\"image\"; filename=\"a.png\""), picture.as_slice());
    let parts = [not_chosen(), chosen, not_chosen()];
    let answer = send_parts(&server, "/v1/caption", parts).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 1);
    let refused = send_parts(&server, "/v1/caption", [not_chosen()]).await;
    refused.assert_problem(422, "invalid_request");
    assert!(refused.text.contains("there is no picture"), "{}", refused.text);
    let empty = (String::from("name=\"image\"; filename=\"b.png\""), &b""[..]);
    let chosen = (String::from("name=\"image\"; filename=\"a.png\""), picture.as_slice());
    let refused = send_parts(&server, "/v1/caption", [chosen, empty]).await;
    refused.assert_problem(422, "invalid_image");
    assert!(refused.text.contains("image 1"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_needs_a_boundary() {
    let request = Request::post("/v1/caption").header("content-type", "multipart/form-data");
    let refused = Server::new().send(request.body(Body::from("--edge--")).unwrap()).await;
    refused.assert_problem(400, "malformed_body");
    assert!(refused.text.contains("no boundary"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_written_as_forms_write_them() {
    let (server, picture) = (Server::new(), [png([1, 2, 3])]);
    let texts = [("trace", "False"), ("stream", "0"), ("exit", ""), ("max_tokens", "")];
    let answer = send(&server, "/v1/caption", &texts, &picture).await.json();
    assert!(answer["results"][0]["exit"]["decoder"].get("tokens").is_none(), "{answer}");
    let texts = [("hypotheses", "[\"a red circle\", \"a cat\"]"), ("premise", "")];
    let answer = send(&server, "/v1/entailment", &texts, &picture).await.json();
    assert_eq!(answer["results"][1]["hypothesis"], "a cat", "{answer}");
    let texts = [("hypothesis", "a"), ("hypothesis", "b")];
    let refused = send(&server, "/v1/entailment", &texts, &picture).await;
    refused.assert_problem(422, "invalid_request");
    assert!(refused.text.contains("send several as `hypotheses`"), "{}", refused.text);
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
