//! `GET /`: a page to try the model on, and the files that the page is made of.
//!
//! The files are in `playground/`, in the binary, and are served as they stand: there is no build
//! step, and the page asks nobody but this server. They need no key, as they are the same in every
//! copy of the binary and tell nothing of this server; what the page asks for needs one, and the
//! page has a field for it.
//!
//! The pictures of `playground/samples` are of
//! `mue scenes --out scenes --count 40 --seed 7 --split test`, which names them without `scene-`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::app::App;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const PNG: &str = "image/png";
const SVG: &str = "image/svg+xml";

/// Scripts, styles and requests are of this server alone, nothing is inline, text cannot become
/// markup, and no other page can put this one in a frame. `blob:` is the picture that was chosen.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The same for every file. Names stay when contents change, so a browser has to ask whether its
/// copy is current, which the ETag answers.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-cache"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $media_type:ident) => {
        File {
            path: concat!("/playground/", $name),
            media_type: $media_type,
            bytes: include_bytes!(concat!("playground/", $name)),
        }
    };
}

const PAGE: File =
    File { path: "/", media_type: HTML, bytes: include_bytes!("playground/index.html") };

const FILES: [File; 31] = [
    PAGE,
    file!("icon.svg", SVG),
    file!("base.css", CSS),
    file!("depth.css", CSS),
    file!("page.css", CSS),
    file!("api.js", JS),
    file!("caption.js", JS),
    file!("depth.js", JS),
    file!("details.js", JS),
    file!("difference.js", JS),
    file!("dom.js", JS),
    file!("entailment.js", JS),
    file!("format.js", JS),
    file!("latest.js", JS),
    file!("main.js", JS),
    file!("picture.js", JS),
    file!("problem.js", JS),
    file!("quality.js", JS),
    file!("question.js", JS),
    file!("samples.js", JS),
    file!("savings.js", JS),
    file!("settings.js", JS),
    file!("tabs.js", JS),
    file!("threshold.js", JS),
    file!("verdict.js", JS),
    file!("samples/scene-010.png", PNG),
    file!("samples/scene-020.png", PNG),
    file!("samples/scene-023.png", PNG),
    file!("samples/scene-024.png", PNG),
    file!("samples/scene-025.png", PNG),
    file!("samples/scene-030.png", PNG),
];

/// A route for each file.
pub(crate) fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, file| {
        let etag = file.etag();
        let answer = move |asked: HeaderMap| async move { file.answer(&asked, etag) };
        router.route(file.path, get(answer))
    })
}

impl File {
    /// Changes whenever the file does.
    fn etag(&self) -> HeaderValue {
        let digest = Sha256::digest(self.bytes);
        let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        HeaderValue::try_from(format!("\"{digits}\"")).expect("digits and quotes are ASCII")
    }

    /// The file, unless the client has it.
    fn answer(&self, asked: &HeaderMap, etag: HeaderValue) -> Response {
        let known = is_known(asked, &etag);
        let body = if known { Body::empty() } else { Body::from(self.bytes) };
        let mut response = Response::new(body);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(ETAG, etag);
        headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

/// Whether a client says that it has what an ETag stands for (RFC 9110, 13.1.2).
fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',').map(str::trim));
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_etag() {
        let etag = PAGE.etag();
        let asked = |list: &str| {
            HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::try_from(list).unwrap())])
        };
        let own = etag.to_str().unwrap();
        for list in [own, "*", &format!("W/{own}"), &format!("\"old\", {own}")] {
            assert!(is_known(&asked(list), &etag), "{list}");
        }
        for list in ["", "\"old\"", own.trim_matches('"')] {
            assert!(!is_known(&asked(list), &etag), "{list}");
        }
        assert!(!is_known(&HeaderMap::new(), &etag));
    }
}
