//! In builds without the feature `otlp`.

use crate::serve::logs::BoxedLayer;

/// There is none.
pub(in crate::serve) enum Exporter {}

impl Exporter {
    /// None; with the feature, it can fail.
    pub(in crate::serve) fn start(_: Option<&str>, _: &str) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }

    /// Its part of what hears of spans.
    pub(in crate::serve) fn layer(&self) -> BoxedLayer {
        match *self {}
    }

    /// Sends what there is.
    pub(in crate::serve) fn flush(self) {
        match self {}
    }
}
