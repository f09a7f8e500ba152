//! The contract, and the page that shows it.

use axum::body::Body;
use axum::http::{Method, Request};
use mue_server::{ApiKey, Config, Digest};

use crate::server::Server;

/// The table of routes, as it stands in the code.
const ROUTES: &str = include_str!("../../src/app.rs");

/// Pages and their files are for people.
const PAGES: [&str; 1] = ["/docs"];

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_contract_and_the_other_way_round() {
    let server = Server::new();
    let contract = server.get("/openapi.json").await.json();
    let paths = contract["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for operation in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(operation.to_uppercase().as_bytes()).unwrap();
            let request = Request::builder().method(method).uri(path);
            let status = server.send(request.body(Body::empty()).unwrap()).await.status.as_u16();
            assert!(![404, 405].contains(&status), "{operation} {path}: {status}");
        }
    }
    let (table, _tests) = ROUTES.split_once("#[cfg(test)]").unwrap();
    let routes: Vec<&str> = table
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"').map(|(path, _)| path))
        .filter(|path| !PAGES.iter().any(|page| path.starts_with(page)))
        .collect();
    assert_eq!(routes.len(), paths.len(), "{routes:?}");
    for route in routes {
        assert!(paths.contains_key(route), "{route} is not in the contract");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_examples_are_answered() {
    let server = Server::new();
    let contract = server.get("/openapi.json").await.json();
    for path in ["/v1/caption", "/v1/entailment"] {
        let body = &contract["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        let examples = body["examples"].as_object().unwrap();
        assert!(!examples.is_empty());
        for (name, example) in examples {
            let response = server.post(path, &example["value"]).await;
            assert_eq!(response.status, 200, "{name}: {}", response.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_come_from_here() {
    let key =
        ApiKey { name: "alice".into(), sha256: Digest::of("sesame"), requests_per_minute_max: 0 };
    let server = Server::with(Config { api_keys: vec![key], ..Config::default() });
    let page = server.get("/docs").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    for directive in ["frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.split(';').any(|found| found.trim() == directive), "{policy}");
    }
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert!(!page.text.contains("//"), "{}", page.text);
    let loaded = page.text.split("=\"docs/").skip(1);
    let files: Vec<_> =
        loaded.filter_map(|rest| rest.split_once('"')).map(|(file, _)| file).collect();
    assert_eq!(files, ["swagger-ui.css", "swagger-ui-bundle.js", "start.js"]);
    for file in files {
        let response = server.get(&format!("/docs/{file}")).await;
        assert_eq!(response.status, 200, "{file}");
        let media_type = if file.ends_with("css") { "text/css" } else { "text/javascript" };
        assert_eq!(response.headers["content-type"], media_type);
        assert_eq!(response.headers["x-content-type-options"], "nosniff");
        assert!(!response.text.is_empty());
    }
    assert_eq!(server.get("/openapi.json").await.status, 200);
    for path in ["/docs/swagger-ui.css.map", "/docs/%ff"] {
        server.get(path).await.assert_problem(404, "not_found");
    }
}
