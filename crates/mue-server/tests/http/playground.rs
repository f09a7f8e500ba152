//! The page at `/`, and that it is whole and asks nobody else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use mue_server::{ApiKey, Config, Digest};
use tower::ServiceExt;

use crate::server::Server;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

async fn get(server: &Server, path: &str, etag: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = server.router().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, 1 << 24).await.unwrap().to_vec();
    Answer { status: head.status, headers: head.headers, bytes }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/playground")
}

/// Every file of the page, by its path below the folder.
fn files() -> Vec<String> {
    let in_folder = |below: &str| {
        let entries = std::fs::read_dir(folder().join(below)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        files.map(|entry| format!("{below}{}", name(entry))).collect::<Vec<_>>()
    };
    [in_folder(""), in_folder("samples/")].concat()
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn path(file: &str) -> String {
    if file == "index.html" { "/".into() } else { format!("/playground/{file}") }
}

/// What stands between two markers, wherever they do.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let rests = text.split(before).skip(1);
    rests.map(|rest| rest.split(after).next().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_served_as_what_it_is() {
    let server = Server::new();
    for file in files() {
        let answer = get(&server, &path(&file), None).await;
        assert_eq!(answer.status, 200, "{file}");
        let media_type = match Path::new(&file).extension().unwrap().to_str().unwrap() {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            other => panic!("{file}: {other} is no type of the page"),
        };
        assert_eq!(answer.headers["content-type"], media_type, "{file}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{file}");
        assert_eq!(answer.bytes, std::fs::read(folder().join(&file)).unwrap(), "{file}");
    }
    assert_eq!(get(&server, "/playground/none.js", None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_what_has_not_changed() {
    let server = Server::new();
    let first = get(&server, "/", None).await;
    assert_eq!(first.headers["cache-control"], "no-cache");
    let etag = first.headers["etag"].to_str().unwrap();
    let again = get(&server, "/", Some(etag)).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let other = get(&server, "/playground/main.js", Some(etag)).await;
    assert_eq!(other.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_lets_in_this_server_alone() {
    let answer = get(&Server::new(), "/", None).await;
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    let directives: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(directives.contains(directive), "{directive} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = text("index.html");
    for inline in ["<style", " style=", "javascript:", " onclick", " onload", "<script>"] {
        assert!(!page.contains(inline), "the policy blocks {inline}");
    }
}

#[test]
fn what_the_files_refer_to_exists() {
    let files: BTreeSet<String> = files().into_iter().collect();
    let page = text("index.html");
    let mut wanted = BTreeSet::from(["index.html".to_owned(), "main.js".to_owned()]);
    wanted.extend(between(&page, "\"playground/", "\"").into_iter().map(str::to_owned));
    for file in files.iter().filter(|file| file.ends_with(".js")) {
        let script = text(file);
        wanted.extend(between(&script, "from \"./", "\"").into_iter().map(str::to_owned));
        let samples = between(&script, "file: \"", "\"");
        wanted.extend(samples.into_iter().map(|sample| format!("samples/{sample}")));
    }
    // Both ways: nothing is missing, and nothing lies around.
    assert_eq!(files, wanted);
}

#[test]
fn no_file_refers_to_elsewhere() {
    for file in files().iter().filter(|file| !file.ends_with(".png")) {
        let text = text(file).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        let style = ["url(", "@import"].into_iter().filter(|_| file.ends_with(".css"));
        for elsewhere in ["http://", "https://", "\"//", "'//"].into_iter().chain(style) {
            assert!(!text.contains(elsewhere), "{file} has {elsewhere}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_link_need_no_key_but_its_questions_do() {
    let key =
        ApiKey { name: "alice".into(), sha256: Digest::of("sesame"), requests_per_minute_max: 0 };
    let server = Server::with(Config { api_keys: vec![key], ..Config::default() });
    for file in files() {
        assert_eq!(get(&server, &path(&file), None).await.status, 200, "{file}");
    }
    assert!(text("index.html").contains("href=\"docs\""));
    assert_eq!(get(&server, "/docs", None).await.status, 200);
    assert_eq!(get(&server, "/v1/models", None).await.status, 401);
}
