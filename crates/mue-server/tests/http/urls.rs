//! Pictures by URL, from a small server on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response as Answer};
use axum::routing::get;
use mue_server::Config;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::server::{Response, Server, png};

/// Serves pictures on a free port of every loopback address, and counts who asks.
struct Pictures {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Pictures {
    async fn new() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, twins) = (Arc::clone(&asked), Arc::new(Barrier::new(2)));
        let answer = move |Path(name): Path<String>| {
            count.fetch_add(1, Ordering::Relaxed);
            let twins = Arc::clone(&twins);
            async move {
                // Nobody gets one of them without the other.
                if name == "twin.png" {
                    twins.wait().await;
                }
                picture(&name, port)
            }
        };
        let router = Router::new().route("/{name}", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, asked }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// Settings that let this machine's pictures be fetched, from one address of it.
    fn config(&self) -> Config {
        Config {
            image_url_hosts: vec![format!("*:{}", self.port)],
            image_url_networks: vec!["127.0.0.1/32".parse().unwrap()],
            ..Config::default()
        }
    }
}

fn picture(name: &str, port: u16) -> Answer {
    match name {
        "cat.png" | "twin.png" => png([200, 10, 10]).into_response(),
        "moved" => Redirect::temporary("/cat.png").into_response(),
        "round" => Redirect::temporary("/round").into_response(),
        // Another address of this machine, which nobody has allowed.
        "inside" => {
            Redirect::temporary(&format!("http://127.0.0.2:{port}/cat.png")).into_response()
        }
        "elsewhere" => Redirect::temporary("http://127.0.0.1:1/cat.png").into_response(),
        "page" => "<html>".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn caption(server: &Server, image: &str) -> Response {
    server.post("/v1/caption", &json!({"image": image, "beam_size": 1, "max_tokens": 2})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_unless_it_is_enabled() {
    let (server, pictures) = (Server::new(), Pictures::new().await);
    let refused = caption(&server, &pictures.url("cat.png")).await;
    refused.assert_problem(422, "image_url_refused");
    assert_eq!(pictures.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_fetched_and_redirects_are_followed() {
    let pictures = Pictures::new().await;
    let server = Server::with(pictures.config());
    for name in ["cat.png", "moved"] {
        let answer = caption(&server, &pictures.url(name)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let answer = caption(&server, &format!(" {}\n", pictures.url("cat.png"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let asked = json!({
        "images": [pictures.url("cat.png"), crate::server::picture([1, 2, 3])],
        "beam_size": 1, "max_tokens": 2,
    });
    let answer = server.post("/v1/caption", &asked).await;
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 2, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_a_request_are_fetched_at_once() {
    let pictures = Pictures::new().await;
    let server = Server::with(pictures.config());
    let twins = [pictures.url("twin.png"), pictures.url("twin.png")];
    let asked = json!({"images": twins, "beam_size": 1, "max_tokens": 2});
    let answer = server.post("/v1/caption", &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_host_keeps_no_rows_from_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let server = Server::with(Config {
        queue_rows_max: 1,
        image_url_hosts: vec![format!("127.0.0.1:{port}")],
        image_url_networks: vec!["127.0.0.0/8".parse().unwrap()],
        image_url_ms_max: 3_600_000,
        ..Config::default()
    });
    let url = format!("http://127.0.0.1:{port}/cat.png");
    let other = async {
        let fetching = silent.accept().await.unwrap();
        let answer = caption(&server, &crate::server::picture([1, 2, 3])).await;
        drop(fetching);
        answer
    };
    let (waits, other) = tokio::join!(caption(&server, &url), other);
    assert_eq!(other.status, 200, "{}", other.text);
    waits.assert_problem(422, "image_url_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_a_request_have_a_size_together() {
    let pictures = Pictures::new().await;
    let urls = vec![pictures.url("cat.png"); 2];
    let asked = json!({"images": urls, "beam_size": 1, "max_tokens": 2});
    let (body, picture) = (asked.to_string().len(), png([200, 10, 10]).len());
    let ask = async |body_bytes_max: usize| {
        let bodies_bytes_max = body_bytes_max;
        let config = Config { body_bytes_max, bodies_bytes_max, ..pictures.config() };
        Server::with(config).post("/v1/caption", &asked).await
    };
    assert_eq!(ask(body + 2 * picture).await.status, 200);
    let refused = ask(body + 2 * picture - 1).await;
    refused.assert_problem(422, "image_too_large");
    let sum = format!("pictures have more than {} bytes", body + 2 * picture - 1);
    assert!(refused.text.contains(&sum), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_for_a_request_that_cannot_be_valid() {
    let pictures = Pictures::new().await;
    let server = Server::with(pictures.config());
    let asked = json!({"image": pictures.url("cat.png"), "max_tokens": 64});
    server.post("/v1/caption", &asked).await.assert_problem(422, "invalid_request");
    let asked = json!({"image": pictures.url("cat.png"), "hypothesis": "a ".repeat(79)});
    server.post("/v1/entailment", &asked).await.assert_problem(422, "invalid_request");
    assert_eq!(pictures.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_not_public() {
    let pictures = Pictures::new().await;
    let config = Config { image_url_networks: Vec::new(), ..pictures.config() };
    let server = Server::with(config);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let url = format!("http://{host}:{}/cat.png", pictures.port);
        let refused = caption(&server, &url).await;
        refused.assert_problem(422, "image_url_refused");
    }
    assert_eq!(pictures.asked.load(Ordering::Relaxed), 0, "none of them was connected to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_nowhere_that_a_url_may_not() {
    let pictures = Pictures::new().await;
    let server = Server::with(pictures.config());
    for name in ["inside", "elsewhere"] {
        let refused = caption(&server, &pictures.url(name)).await;
        refused.assert_problem(422, "image_url_refused");
    }
    assert_eq!(pictures.asked.load(Ordering::Relaxed), 2, "the redirects were not followed");
    caption(&server, &pictures.url("round")).await.assert_problem(422, "image_url_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_redirect_is_followed_one_is_no_picture() {
    let pictures = Pictures::new().await;
    let server = Server::with(Config { image_url_redirects_max: 0, ..pictures.config() });
    let refused = caption(&server, &pictures.url("moved")).await;
    refused.assert_problem(422, "image_url_failed");
    assert!(refused.text.contains("the URL redirects"), "{}", refused.text);
    assert_eq!(caption(&server, &pictures.url("cat.png")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_said() {
    let pictures = Pictures::new().await;
    let server = Server::with(pictures.config());
    caption(&server, &pictures.url("nothing")).await.assert_problem(422, "image_url_failed");
    caption(&server, &pictures.url("page")).await.assert_problem(422, "invalid_image");
    caption(&server, "http://").await.assert_problem(422, "image_url_failed");
    let server = Server::with(Config { image_bytes_max: 20, ..pictures.config() });
    caption(&server, &pictures.url("cat.png")).await.assert_problem(422, "image_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_so_much_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = Config {
        image_url_hosts: vec![format!("127.0.0.1:{port}")],
        image_url_networks: vec!["127.0.0.0/8".parse().unwrap()],
        image_url_ms_max: 50,
        ..Config::default()
    };
    let url = format!("http://127.0.0.1:{port}/cat.png");
    caption(&Server::with(config), &url).await.assert_problem(422, "image_url_failed");
}
