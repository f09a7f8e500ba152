//! `GET /docs`: the contract as a page on which requests can be tried out.
//!
//! The page is Swagger UI, as the crate packs it: everything is in the binary, and the page may
//! load from nowhere else.

use std::io::{Cursor, Read};
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

use crate::problem::{Code, Problem};

const PAGE: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/start.js");

/// Whatever Swagger UI would like to load from elsewhere stays there, and no other page can put this
/// one in a frame.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Files are what they are said to be.
const NO_GUESS: &str = "nosniff";

/// Files of the archive that the page needs.
const STYLE: &str = "swagger-ui.css";
const BUNDLE: &str = "swagger-ui-bundle.js";

/// Unpacked by the first who asks.
static FILES: LazyLock<[Option<Bytes>; 2]> = LazyLock::new(|| [unpack(STYLE), unpack(BUNDLE)]);

/// The page.
pub(crate) async fn page() -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, NO_GUESS)];
    (headers, Html(PAGE)).into_response()
}

/// A file of the page.
pub(crate) async fn file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let (media_type, content) = match name.as_ref().map_or("", |Path(name)| name) {
        "start.js" => ("text/javascript", Some(Bytes::from_static(SCRIPT.as_bytes()))),
        STYLE => ("text/css", FILES[0].clone()),
        BUNDLE => ("text/javascript", FILES[1].clone()),
        _ => (Default::default(), None),
    };
    let content = content.ok_or_else(|| Problem::new(Code::NotFound, "there is no such file"))?;
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "max-age=3600"),
        (X_CONTENT_TYPE_OPTIONS, NO_GUESS),
    ];
    Ok((headers, content).into_response())
}

/// A file of Swagger UI's distribution.
fn unpack(name: &str) -> Option<Bytes> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).ok()?;
    let end = format!("/dist/{name}");
    let mut paths = archive.file_names().filter_map(Result::ok);
    let path = paths.find(|path| path.ends_with(&end))?.into_owned();
    drop(paths);
    let mut content = Vec::new();
    archive.by_name(&path).ok()?.read_to_end(&mut content).ok()?;
    Some(content.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_the_files() {
        assert!(FILES.iter().flatten().all(|file| file.len() > 100_000));
        assert_eq!(FILES.iter().flatten().count(), 2);
    }
}
