//! API keys: who may ask, and how often.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tracing::Span;

use crate::problem::{Code, Problem};
use crate::rate_limit::RateLimit;
use crate::serving::Serving;

/// A key that clients may present, known by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is, for the logs.
    pub name: String,
    /// The SHA-256 of the key.
    pub sha256: Digest,
    /// Requests per minute, all of which may come at once; 0 is as many as it likes.
    #[serde(default)]
    pub requests_per_minute_max: u32,
}

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text is no SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hexadecimal digits")]
pub struct DigestError;

impl Digest {
    /// The digest of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(DigestError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The keys that are known, and how often each may still ask.
pub(crate) struct Keys(Vec<Known>);

struct Known {
    key: ApiKey,
    limit: Option<Arc<RateLimit>>,
}

impl Keys {
    /// Of the settings; a key that others have with the same limit goes on with what is left.
    pub(crate) fn new(keys: &[ApiKey], older: Option<&Self>) -> Self {
        let limit = |key: &ApiKey| {
            let same = |known: &&Known| {
                let rate = known.key.requests_per_minute_max;
                (known.key.sha256, rate) == (key.sha256, key.requests_per_minute_max)
            };
            let older = older.and_then(|older| older.0.iter().find(same));
            let new = || {
                let requests = key.requests_per_minute_max;
                (requests > 0).then(|| Arc::new(RateLimit::per_minute(requests, Instant::now())))
            };
            older.map_or_else(new, |known| known.limit.clone())
        };
        Self(keys.iter().map(|key| Known { limit: limit(key), key: key.clone() }).collect())
    }

    /// Whether nobody needs a key.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key it is. Every key is compared in whole, so that the time tells nothing.
    fn owner(&self, key: &str) -> Option<&Known> {
        let digest = Digest::of(key);
        self.0.iter().fold(None, |found, known| {
            let same = bool::from(known.key.sha256.0.ct_eq(&digest.0));
            if same { Some(known) } else { found }
        })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.is_empty() {
            return Ok(());
        }
        let known = presented(headers).and_then(|key| self.owner(key)).ok_or_else(|| {
            Problem::new(Code::Unauthorized, "send a known key as Authorization: Bearer KEY")
        })?;
        Span::current().record("key", &known.key.name);
        match known.limit.as_ref().map(|limit| limit.take(Instant::now())) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(wait)) => {
                let requests = known.key.requests_per_minute_max;
                let detail = format!("this key may ask {requests} times a minute");
                Err(Problem::new(Code::RateLimited, detail).retry_after(wait))
            }
        }
    }
}

/// Lets through who has a key and has not asked too often, or everybody if there are no keys.
pub(crate) async fn layer(
    serving: Serving,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    serving.keys.check(request.headers())?;
    drop(serving);
    Ok(next.run(request).await)
}

/// The same for the metrics, unless they are public.
pub(crate) async fn metrics_layer(
    serving: Serving,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !serving.config.metrics_public {
        serving.keys.check(request.headers())?;
    }
    drop(serving);
    Ok(next.run(request).await)
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::try_from(text.to_owned()), Ok(Digest::of("abc")));
        assert_eq!(String::from(Digest::of("abc")), text);
        for wrong in ["", "ba", &text[1..], &format!("{text}0"), &text.replace('b', "g")] {
            assert_eq!(Digest::try_from(wrong.to_owned()), Err(DigestError), "{wrong}");
        }
    }

    fn key(name: &str, requests_per_minute_max: u32) -> ApiKey {
        ApiKey { name: name.into(), sha256: Digest::of(name), requests_per_minute_max }
    }

    #[test]
    fn a_key_has_its_owner() {
        let keys = Keys::new(&[key("alice", 0), key("bob", 0)], None);
        assert_eq!(keys.owner("bob").map(|known| known.key.name.as_str()), Some("bob"));
        assert!(keys.owner("carol").is_none());
    }

    #[test]
    fn a_reload_gives_no_key_a_fresh_rate() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, axum::http::HeaderValue::from_static("Bearer alice"));
        let keys = Keys::new(&[key("alice", 1)], None);
        assert_eq!(keys.check(&headers), Ok(()));
        let same = Keys::new(&[key("bob", 1), key("alice", 1)], Some(&keys));
        assert_eq!(same.check(&headers).unwrap_err().code, Code::RateLimited);
        let more = Keys::new(&[key("alice", 2)], Some(&same));
        assert_eq!(more.check(&headers), Ok(()));
    }
}
