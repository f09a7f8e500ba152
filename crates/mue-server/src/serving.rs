//! What serves at the moment: an engine with the settings that it was opened by.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use mue_engine::Engine;
use tokio::sync::watch;

use crate::app::App;
use crate::auth::Keys;
use crate::config::Config;
use crate::contract;
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::picture::Preprocessor;

/// An engine and its settings; a reload puts another in its place.
pub(crate) struct Generation {
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    /// Those that the first generation began with: what only a restart changes is as they say.
    pub(crate) began_with: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) preprocessor: Preprocessor,
    pub(crate) keys: Keys,
    /// The server's, whatever generation serves.
    pub(crate) drain: Drain,
    /// Written by the first who asks.
    contract: OnceLock<Bytes>,
    /// Has a receiver per holder.
    held: watch::Sender<()>,
}

/// A hold on a [`Generation`]. Requests take one when they begin and keep it to their end, so that
/// a reload changes nothing for them.
#[derive(Clone)]
pub(crate) struct Serving {
    // Fields drop in this order: nobody holds the generation once nobody is counted.
    generation: Arc<Generation>,
    _held: watch::Receiver<()>,
}

impl Generation {
    /// An engine whose observer is `metrics`; keys that an older generation has keep what is left
    /// of their rates.
    pub(crate) fn new(
        engine: Engine,
        config: Config,
        metrics: Arc<Metrics>,
        older: Option<&Self>,
    ) -> Arc<Self> {
        let began_with = older.map(|older| Arc::clone(&older.began_with));
        let began_with = began_with.unwrap_or_else(|| Arc::new(config.clone()));
        let drain = older.map(|older| older.drain.clone()).unwrap_or_default();
        let preprocessor = Preprocessor::new(&config, engine.model().settings().image_size);
        let keys = Keys::new(&config.api_keys, older.map(|older| &older.keys));
        // An engine that is open has its model; its worker may not have told the observer yet.
        metrics.set_model_ready(true);
        metrics.set_bounds(&config, &began_with);
        let (contract, held) = (OnceLock::new(), watch::Sender::new(()));
        Arc::new(Self {
            engine,
            config,
            began_with,
            metrics,
            preprocessor,
            keys,
            drain,
            contract,
            held,
        })
    }

    /// What clients may rely on, in JSON.
    pub(crate) fn contract(&self) -> Bytes {
        let write = || contract::json(&self.config, self.engine.model());
        self.contract.get_or_init(write).clone()
    }

    /// Takes a hold.
    pub(crate) fn hold(self: &Arc<Self>) -> Serving {
        Serving { _held: self.held.subscribe(), generation: Arc::clone(self) }
    }

    /// Waits until nobody holds it any more, and closes the engine.
    pub(crate) async fn retire(self: Arc<Self>) {
        self.held.closed().await;
        // The worker is joined, which may take a step of the model.
        let closed = tokio::task::spawn_blocking(move || drop(self));
        drop(closed.await);
    }
}

impl Deref for Serving {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.generation
    }
}

impl FromRequestParts<Arc<App>> for Serving {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(app.now())
    }
}
