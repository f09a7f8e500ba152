//! In builds without the feature `otlp`.

use crate::serve::logs::BoxedLayer;

/// There is none.
pub(in crate::serve) enum Exporter {}

impl Exporter {
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "it can fail in builds with the feature")]
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
