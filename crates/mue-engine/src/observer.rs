//! What the engine does inside a step, for metrics.

use std::time::Duration;

use mue_batcher::Observer;
use mue_model::{GatherCost, Gathering};

/// Hears what the batcher decides and what the model computes: the latter on the CPU from the
/// threads that compute, maybe several at a time.
pub trait EngineObserver: Observer {
    /// The model answered for the first time, and gathering was measured.
    fn warmed_up(&self, _duration: Duration, _gather: &GatherCost) {}

    /// A layer of a branch ran.
    fn layer(&self, _step: &LayerStep) {}

    /// Rows were moved: survivors of an exit gathered, finished rows let go, or beams put in their new
    /// order.
    fn gathered(&self, _branch: Branch, _gathering: &Gathering) {}

    /// A request looked for its picture's encoding.
    fn image_looked_up(&self, _hit: bool) {}

    /// What the image cache holds has changed.
    fn image_cache(&self, _usage: CacheUsage) {}
}

impl EngineObserver for mue_batcher::NoObserver {}

/// A branch of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Branch {
    /// Image tokens; in joint encoding, the whole encoder.
    Image,
    /// Text tokens.
    Text,
    /// The answer's tokens.
    Decoder,
}

impl Branch {
    /// Every branch.
    pub const ALL: [Self; 3] = [Self::Image, Self::Text, Self::Decoder];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Decoder => "decoder",
        }
    }
}

/// One layer of one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerStep {
    /// Of which branch.
    pub branch: Branch,
    /// Counted from 1.
    pub layer: usize,
    /// Rows computed: those active, and those that have left where computing them on takes less than
    /// gathering the others.
    pub rows: usize,
    /// Rows active: those that have not left before.
    pub active: usize,
}

/// What the image cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUsage {
    /// Encodings.
    pub entries: usize,
    /// Their bytes, with the keys and values that decoder layers may add to them.
    pub bytes: usize,
}
