//! The public protocol of a Hugging Face hub: which files a repository has, and their content.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/models/REPO/revision/REVISION` | JSON: the commit (`sha`) and the file names |
//! | `HEAD /REPO/resolve/COMMIT/FILE` | size and checksum, see below |
//! | `GET /REPO/resolve/COMMIT/FILE` | content, often by a redirect to large-file storage |
//!
//! A file in large-file storage is described by `X-Linked-Etag` (SHA-256) and `X-Linked-Size`,
//! a file in git by `ETag` (blob id) and `Content-Length`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, ETAG};
use ureq::http::{HeaderMap, Response};

use super::checksum::Checksum;
use super::client::{Client, LINKED_ETAG, RequestError};
use super::error::PullError;

const LINKED_SIZE: &str = "x-linked-size";
const LISTING_BYTES_MAX: u64 = 32 << 20;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// The name of a repository: `OWNER/NAME`, or `NAME` alone.
#[derive(Debug, Clone)]
pub(super) struct RepoName(String);

impl RepoName {
    /// The part after the owner.
    pub(super) fn last_part(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for RepoName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain =
            |part: &str| !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.');
        if text.split('/').count() <= 2 && text.split('/').all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a repository is named OWNER/NAME, such as OFA-Sys/ofa-base")
        }
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository at one commit.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// One file of a snapshot.
#[derive(Debug)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) checksum: Checksum,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// One repository on the hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) client: Client,
    pub(super) repo: RepoName,
}

impl Hub {
    /// Resolves `revision` (branch, tag or commit) to a commit and lists its files.
    pub(super) fn snapshot(&self, revision: &str) -> Result<Snapshot, PullError> {
        let repo = &self.repo;
        let path =
            format!("/api/models/{repo}/revision/{}", utf8_percent_encode(revision, SEGMENT));
        let failed = |source| PullError::Hub { what: format!("{repo} at {revision}"), source };
        let mut response = self.client.get(&path, 0).map_err(failed)?;
        let body = response.body_mut().with_config().limit(LISTING_BYTES_MAX).read_to_string();
        let body = body.map_err(|error| failed(RequestError::Transport(error)))?;

        let info: ModelInfo = serde_json::from_str(&body)
            .map_err(|source| PullError::Listing { repo: repo.to_string(), source })?;
        let names: BTreeSet<_> = info.siblings.into_iter().map(|it| it.rfilename).collect();
        if info.sha.is_empty() || !info.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(PullError::Commit(repo.to_string()));
        }
        Ok(Snapshot { commit: info.sha, names: names.into_iter().collect() })
    }

    /// Asks for the size and the checksum of the file `name` at `commit`.
    pub(super) fn describe(&self, commit: &str, name: &str) -> Result<RemoteFile, PullError> {
        let response = self
            .client
            .head(&self.resolve_path(commit, name))
            .map_err(|source| self.failed(name, source))?;
        let headers = response.headers();
        let etag = text(headers, LINKED_ETAG).or_else(|| text(headers, ETAG.as_str()));
        let size = text(headers, LINKED_SIZE).or_else(|| text(headers, CONTENT_LENGTH.as_str()));
        match (size.and_then(|size| size.parse().ok()), etag.and_then(Checksum::from_etag)) {
            (Some(size), Some(checksum)) => {
                Ok(RemoteFile { name: name.to_owned(), size, checksum })
            }
            _ => Err(PullError::NoChecksum(name.to_owned())),
        }
    }

    /// Opens the content of `name` at `commit` from byte `offset` on.
    ///
    /// The hub may ignore the offset; the answer's status and `Content-Range` tell.
    pub(super) fn open(
        &self,
        commit: &str,
        name: &str,
        offset: u64,
    ) -> Result<Response<Body>, PullError> {
        self.client
            .get(&self.resolve_path(commit, name), offset)
            .map_err(|source| self.failed(name, source))
    }

    fn resolve_path(&self, commit: &str, name: &str) -> String {
        format!("/{}/resolve/{commit}/{}", self.repo, utf8_percent_encode(name, PATH))
    }

    fn failed(&self, name: &str, source: RequestError) -> PullError {
        PullError::Hub { what: format!("{name} of {}", self.repo), source }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_have_one_or_two_plain_parts() {
        for name in ["ofa", "OFA-Sys/ofa-base_v1.0"] {
            assert_eq!(name.parse::<RepoName>().unwrap().to_string(), name);
        }
        for name in ["", "/", "a/", "/a", "a/b/c", "..", "a/..", "a b", "a?b", "https://x/y"] {
            assert!(name.parse::<RepoName>().is_err(), "{name}");
        }
    }
}
