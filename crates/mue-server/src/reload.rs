//! `POST /v1/admin/reload`, and SIGHUP: other settings and another model without dropping a
//! request.
//!
//! The new engine is opened and warmed beside the old one, then new requests go to it, and the old
//! one is closed when the last request that began with it has ended. What fails before leaves
//! everything as it was.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use mue_engine::Engine;
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;
use utoipa::ToSchema;

use crate::app::App;
use crate::config::Config;
use crate::contract::ReloadProblems;
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};
use crate::serving::Generation;

/// What is served from now on.
pub struct Loaded {
    /// Its observer has to be the metrics that the loader was given.
    pub engine: Engine,
    /// Valid settings.
    pub config: Config,
}

/// Why nothing could be loaded.
pub type LoadError = Box<dyn Error + Send + Sync>;

/// Loads settings and opens an engine. Runs on a thread that may block.
pub(crate) type Loader = Box<dyn Fn(Arc<Metrics>) -> Result<Loaded, LoadError> + Send + Sync>;

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Reloaded {
    /// The model that is served from now on.
    pub model: String,
    /// What it runs on.
    pub device: String,
    /// Keys of the settings that changed and that only a restart can put into effect.
    #[schema(examples("listen"))]
    pub restart_needed: Vec<&'static str>,
    /// How long it took, in milliseconds.
    #[schema(minimum = 0)]
    pub total_ms: f64,
}

/// Loads settings, keys, certificate and model anew; no request is dropped.
///
/// Answers when new requests go to the new model. What fails before leaves everything as it was.
/// It needs API keys to be configured.
#[utoipa::path(
    post,
    path = "/v1/admin/reload",
    operation_id = "reload",
    tag = "operations",
    responses(
        (status = 200, description = "What is served from now on.", body = Reloaded),
        ReloadProblems,
    ),
    security(("api_key" = [])),
)]
pub(crate) async fn route(State(app): State<Arc<App>>) -> Result<Json<Reloaded>, Problem> {
    if app.now().keys.is_empty() {
        let detail = "configure api_keys, so that not everybody can reload; or send SIGHUP";
        return Err(Problem::new(Code::KeysRequired, detail));
    }
    let turn = Arc::clone(&app.reloading).try_lock_owned().map_err(|_| {
        let detail = "a reload is under way, or requests that began before the last one are";
        Problem::new(Code::ReloadInProgress, detail)
    })?;
    // A task of its own: a client that hangs up does not stop it half way.
    let reload = tokio::spawn(async move { app.load(turn).await });
    let reloaded = reload.await.map_err(|_| Problem::new(Code::Internal, "the reload died"))?;
    reloaded.map(Json).map_err(|cause| Problem::new(Code::ReloadFailed, cause))
}

impl App {
    /// Reloads as soon as the reload before is over. What came of it is logged and counted.
    pub async fn reload(self: &Arc<Self>) {
        let turn = match Arc::clone(&self.reloading).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                tracing::info!(
                    "the reload waits for one that is under way, or for requests that began before the last one"
                );
                Arc::clone(&self.reloading).lock_owned().await
            }
        };
        drop(self.load(turn).await);
    }

    /// The turn is kept until the old engine is closed: there are never more than two.
    async fn load(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<Reloaded, String> {
        let started = Instant::now();
        let metrics = self.metrics.beside();
        let (app, observer) = (Arc::clone(self), Arc::clone(&metrics));
        let loaded = tokio::task::spawn_blocking(move || match &app.loader {
            Some(loader) => loader(observer).map_err(|error| in_words(&*error)),
            None => Err("this server was not told where to load from".into()),
        });
        let loaded = loaded.await.unwrap_or_else(|_| Err("loading panicked".into()));
        let Loaded { engine, config } = loaded.inspect_err(|cause| {
            tracing::error!(cause, "the reload failed; the former settings and model go on");
            self.metrics.reloaded("failed");
        })?;
        let now = self.now();
        let reloaded = Reloaded {
            model: engine.model().name(),
            device: engine.device().to_string(),
            restart_needed: config.restart_needed(&now.began_with),
            total_ms: started.elapsed().as_secs_f64() * 1e3,
        };
        let new = Generation::new(engine, config, metrics, Some(&now));
        drop(now);
        let old = self.serve(new);
        tokio::spawn(async move {
            old.retire().await;
            drop(turn);
        });
        let Reloaded { model, device, restart_needed, total_ms } = &reloaded;
        tracing::info!(model, device, ?restart_needed, total_ms, "reloaded");
        self.metrics.reloaded("ok");
        Ok(reloaded)
    }
}

/// An error and its causes.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}
