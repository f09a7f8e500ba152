//! The two checksums a hub names: SHA-256 for large files, the git blob id for small ones.

use std::fmt::Write;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What the content of a file must hash to, as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the content; names an LFS object.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the content; names a file kept in git itself.
    GitBlob(String),
}

impl Checksum {
    /// Reads an `ETag` or `X-Linked-Etag`; `None` when it is no content hash.
    pub(super) fn from_etag(etag: &str) -> Option<Self> {
        let hex = etag.trim().trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        match hex.len() {
            64 => Some(Self::Sha256(hex)),
            40 => Some(Self::GitBlob(hex)),
            _ => None,
        }
    }

    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// Starts hashing content of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitBlob(_) => {
                Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0").as_bytes()))
            }
        }
    }
}

/// A running checksum.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    /// The hash of everything so far, as lower-case hex.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::GitBlob(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const GIT_BLOB: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    #[test]
    fn etags_name_the_checksum_by_their_length() {
        for etag in [format!("\"{SHA256}\""), SHA256.to_uppercase()] {
            assert_eq!(Checksum::from_etag(&etag), Some(Checksum::Sha256(SHA256.into())));
        }
        let weak = format!("W/\"{GIT_BLOB}\"");
        assert_eq!(Checksum::from_etag(&weak), Some(Checksum::GitBlob(GIT_BLOB.into())));
        for other in ["", "\"d41d8cd98f00b204e9800998ecf8427e-12\"", &"../".repeat(20)] {
            assert_eq!(Checksum::from_etag(other), None);
        }
    }

    #[test]
    fn hashes_as_sha256sum_and_git_hash_object_do() {
        for expected in [SHA256, GIT_BLOB] {
            let mut hasher = Checksum::from_etag(expected).unwrap().hasher(6);
            hasher.update(b"hello");
            hasher.update(b"\n");
            assert_eq!(hasher.finish(), expected);
        }
    }
}
