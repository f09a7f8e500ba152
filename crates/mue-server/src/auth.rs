//! API keys: who may ask.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::problem::{Code, Problem};

/// A key that clients may present, known by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is, for the logs.
    pub name: String,
    /// The SHA-256 of the key.
    pub sha256: Digest,
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

/// Lets through who has a key, or everybody if there are no keys.
pub(crate) async fn layer(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let keys = &app.config.api_keys;
    if !keys.is_empty() {
        let owner = presented(request.headers()).and_then(|key| owner(key, keys));
        let owner = owner.ok_or_else(|| {
            Problem::new(Code::Unauthorized, "send a known key as Authorization: Bearer KEY")
        })?;
        tracing::debug!(key = owner, "authorized");
    }
    Ok(next.run(request).await)
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// Whose key it is. Every key is compared in whole, so that the time tells nothing.
fn owner<'a>(key: &str, keys: &'a [ApiKey]) -> Option<&'a str> {
    let digest = Digest::of(key);
    keys.iter().fold(None, |found, known| {
        let same = bool::from(known.sha256.0.ct_eq(&digest.0));
        if same { Some(known.name.as_str()) } else { found }
    })
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

    #[test]
    fn a_key_has_its_owner() {
        let key = |name: &str| ApiKey { name: name.into(), sha256: Digest::of(name) };
        let keys = [key("alice"), key("bob")];
        assert_eq!(owner("bob", &keys), Some("bob"));
        assert_eq!(owner("carol", &keys), None);
    }
}
