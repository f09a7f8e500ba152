//! Image encodings, kept for requests about the same picture with the same image exits.

use std::sync::Arc;

use lru::LruCache;
use mue_model::{BranchEncoding, BranchPolicy};

use crate::observer::CacheUsage;
use crate::request::{Image, ImageKey};

/// What an image encoding depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    image: ImageKey,
    /// The policy in words: thresholds are floats, which do not hash.
    policy: String,
}

impl CacheKey {
    pub(crate) fn new(image: &Image, policy: &BranchPolicy) -> Self {
        Self { image: image.key, policy: format!("{policy:?}") }
    }

    /// Of a picture that left by a policy and went on to a layer.
    pub(crate) fn resumed(image: &Image, policy: &BranchPolicy, layers: usize) -> Self {
        Self { image: image.key, policy: format!("{policy:?} and on to {layers}") }
    }
}

/// The most recently used encodings, within a bound on their bytes.
#[derive(Debug)]
pub(crate) struct ImageCache {
    entries: LruCache<CacheKey, Arc<BranchEncoding>>,
    bytes: usize,
    bytes_max: usize,
}

impl ImageCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, bytes_max }
    }

    pub(crate) fn get(&mut self, key: &CacheKey) -> Option<Arc<BranchEncoding>> {
        self.entries.get(key).map(Arc::clone)
    }

    /// Keeps an encoding, and lets go of the least recently used ones beyond the bound.
    pub(crate) fn insert(&mut self, key: CacheKey, encoding: Arc<BranchEncoding>) {
        let bytes = encoding.bytes_max();
        if bytes > self.bytes_max {
            return;
        }
        self.bytes += bytes;
        if let Some(replaced) = self.entries.put(key, encoding) {
            self.bytes -= replaced.bytes_max();
        }
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.entries.pop_lru() else { break };
            self.bytes -= oldest.bytes_max();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(crate) fn usage(&self) -> CacheUsage {
        CacheUsage { entries: self.entries.len(), bytes: self.bytes }
    }
}
