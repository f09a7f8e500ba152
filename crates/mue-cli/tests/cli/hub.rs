//! A hub as the real one looks to a client: an API, and on another port the storage that large
//! files are redirected to.

use std::collections::BTreeMap;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::server::{Reply, Request, Server};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The only repository there is.
pub(crate) const REPO: &str = "owner/tiny-ofa";

#[derive(Debug, Clone)]
struct Stored {
    content: Vec<u8>,
    large: bool,
}

/// What the hub has in [`REPO`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Repo(BTreeMap<String, Stored>);

impl Repo {
    /// A configuration, weights of several reads, and a page that no model folder needs.
    pub(crate) fn tiny_ofa() -> Self {
        Self::default()
            .small("config.json", b"{\"d_model\": 8}")
            .small("README.md", b"# Tiny OFA")
            .large("model.safetensors", &weights())
    }

    pub(crate) fn small(self, name: &str, content: &[u8]) -> Self {
        self.with(name, content, false)
    }

    pub(crate) fn large(self, name: &str, content: &[u8]) -> Self {
        self.with(name, content, true)
    }

    fn with(mut self, name: &str, content: &[u8], large: bool) -> Self {
        self.0.insert(name.to_owned(), Stored { content: content.to_owned(), large });
        self
    }

    fn api(&self, request: &Request, storage: &str) -> Reply {
        let path = request.path.as_str();
        if path == format!("/api/models/{REPO}/revision/main") {
            let files: Vec<_> = self.0.keys().map(|name| json!({ "rfilename": name })).collect();
            return Reply::status(200)
                .body(json!({ "sha": COMMIT, "siblings": files }).to_string());
        }
        if let Some(name) = path.strip_prefix("/cache/") {
            let content = &self.0[name].content;
            return Reply::status(200).header("ETag", blob_etag(content)).body(content.as_slice());
        }
        let name = path.strip_prefix(&format!("/{REPO}/resolve/{COMMIT}/"));
        match name.and_then(|name| Some((name, self.0.get(name)?))) {
            Some((_, Stored { content, large: true })) => Reply::status(302)
                .header("X-Linked-Etag", format!("\"{}\"", sha256(content)))
                .header("X-Linked-Size", content.len().to_string())
                .header("Location", format!("{storage}/{}?Signature=secret", sha256(content))),
            Some((name, _)) => Reply::status(307).header("Location", format!("/cache/{name}")),
            None => Reply::status(404).header("X-Error-Message", "Repository not found"),
        }
    }

    fn storage(&self, request: &Request) -> Reply {
        let hash = request.path.trim_start_matches('/').split('?').next().unwrap();
        let content = &self.0.values().find(|file| sha256(&file.content) == hash).unwrap().content;
        match request.header("range") {
            None => Reply::status(200).body(content.as_slice()),
            Some(range) => {
                let start = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap();
                let start: usize = start.parse().unwrap();
                let size = content.len();
                Reply::status(206)
                    .header("Content-Range", format!("bytes {start}-{}/{size}", size - 1))
                    .body(&content[start..])
            }
        }
    }
}

/// The servers of a [`Repo`].
pub(crate) struct Hub {
    pub(crate) api: Server,
    pub(crate) storage: Server,
}

impl Hub {
    pub(crate) fn start(repo: Repo) -> Self {
        Self::with_fault(repo, |_, reply| reply)
    }

    /// A hub whose storage answers what `fault` makes of the right reply; `fault` is told how
    /// many requests came before.
    pub(crate) fn with_fault(
        repo: Repo,
        mut fault: impl FnMut(usize, Reply) -> Reply + Send + 'static,
    ) -> Self {
        let mut before = 0..;
        let files = repo.clone();
        let storage =
            Server::start(move |request| fault(before.next().unwrap(), files.storage(request)));
        let url = storage.url();
        Self { api: Server::start(move |request| repo.api(request, &url)), storage }
    }

    /// The `Range` headers of the requests to the storage.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.storage.requests();
        requests.iter().map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

/// Bytes that differ from one position to the next.
pub(crate) fn weights() -> Vec<u8> {
    (0..1_000_000_u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes())
        .step_by(4)
        .collect()
}

fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn blob_etag(content: &[u8]) -> String {
    let header = format!("blob {}\0", content.len());
    format!("W/\"{}\"", hex(&Sha1::digest([header.as_bytes(), content].concat())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
