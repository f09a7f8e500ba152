//! What every request shares, and the table of routes.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapWeak};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Router, body::Body};
use mue_engine::Engine;
use tokio::sync::Mutex;
use tower_http::catch_panic::CatchPanicLayer;

use crate::bodies::Bodies;
use crate::config::Config;
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::places::Places;
use crate::problem::{Code, Problem};
use crate::reload::{LoadError, Loaded, Loader};
use crate::serving::{Generation, Serving};
use crate::{
    admit, auth, caption, contract, cors, docs, entailment, health, leftover, metrics, models,
    playground, reload, request_id, request_log,
};

/// What serves, and what stands between it and the network.
pub struct App {
    serving: ArcSwap<Generation>,
    /// What served before, as long as some request holds it.
    former: ArcSwapWeak<Generation>,
    /// What is counted, whatever serves.
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) loader: Option<Loader>,
    /// Who may load.
    pub(crate) reloading: Arc<Mutex<()>>,
    /// One place per request under way.
    pub(crate) places: Places,
    /// The bytes that they hold.
    pub(crate) bodies: Bodies,
    pub(crate) drain: Drain,
}

impl App {
    /// Serves an engine, whose observer the metrics should be.
    pub fn new(engine: Engine, config: Config, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self::build(engine, config, metrics))
    }

    /// Serves an engine, and whatever `loader` opens when the server is told to reload; the
    /// observer of its engine has to be the metrics that it is given.
    pub fn reloadable(
        engine: Engine,
        config: Config,
        metrics: Arc<Metrics>,
        loader: impl Fn(Arc<Metrics>) -> Result<Loaded, LoadError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let app = Self::build(engine, config, metrics);
        Arc::new(Self { loader: Some(Box::new(loader)), ..app })
    }

    fn build(engine: Engine, config: Config, metrics: Arc<Metrics>) -> Self {
        let places = Places::new(config.requests_max);
        let serving = Generation::new(engine, config, Arc::clone(&metrics), None);
        let drain = serving.drain.clone();
        Self {
            serving: ArcSwap::new(serving),
            former: ArcSwapWeak::new(Weak::new()),
            metrics,
            loader: None,
            reloading: Arc::default(),
            places,
            bodies: Bodies::default(),
            drain,
        }
    }

    /// What serves a request that begins now.
    pub(crate) fn now(&self) -> Serving {
        self.serving.load().hold()
    }

    /// The settings that hold now.
    pub fn config(&self) -> Config {
        self.serving.load().config.clone()
    }

    /// Serves another engine from now on; returns the former one.
    pub(crate) fn serve(&self, generation: Arc<Generation>) -> Arc<Generation> {
        let former = self.serving.swap(generation);
        self.former.store(Arc::downgrade(&former));
        former
    }

    /// Accepts nothing more, and waits until what was accepted is answered, or until the longest
    /// drain has passed and the rest is refused. Returns until when answers may be written.
    pub(crate) async fn drain(&self) -> Instant {
        self.drain_until(Instant::now() + self.now().config.drain_max());
        // Idle or out of patience: either way the listener closes now.
        tokio::select! {
            () = self.places.all_free() => Instant::now() + DRAIN_MARGIN,
            () = self.drain.over() => {
                // All is refused; a moment later that has been written.
                let patience = Instant::now() + DRAIN_MARGIN;
                let idle = tokio::time::timeout_at(patience.into(), self.places.all_free());
                drop(idle.await);
                patience
            }
        }
    }

    /// Refuses at once what a drain would wait for.
    pub fn end_drain(&self) {
        self.drain_until(Instant::now());
    }

    fn drain_until(&self, deadline: Instant) {
        self.drain.begin(deadline);
        let former = self.former.load().upgrade();
        for generation in former.iter().chain([&self.serving.load_full()]) {
            generation.engine.batcher().drain(deadline);
        }
    }
}

/// What refusing the rest of the work takes at most, and writing the last answers.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    let guarded = Router::new()
        .route("/v1/caption", post(caption::route))
        .route("/v1/entailment", post(entailment::route))
        .route_layer(from_fn_with_state(Arc::clone(&app), admit::layer))
        .route("/v1/models", get(models::route))
        .route("/v1/admin/reload", post(reload::route))
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::layer));
    let metrics = Router::new()
        .route("/metrics", get(metrics::route))
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::metrics_layer));
    Router::new()
        .merge(guarded)
        .merge(metrics)
        .merge(playground::routes())
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/openapi.json", get(contract::route))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), leftover::layer))
        .layer(from_fn_with_state(cors::allowing(&app), cors::layer))
        .layer(from_fn_with_state(Arc::clone(&app), metrics::layer))
        .layer(from_fn(request_log::layer))
        .layer(from_fn(request_id::layer))
        .with_state(app)
}

async fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "there is no such route")
}

async fn other_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "see the Allow header")
}

fn panicked(panic: Box<dyn Any + Send>) -> axum::http::Response<Body> {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = words, "a handler panicked");
    Problem::new(Code::Internal, "the cause is logged").into_response()
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem() {
        async fn broken() -> &'static str {
            panic!("secret")
        }
        let router: Router = Router::new().route("/", get(broken));
        let router = router.layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.extensions().get(), Some(&Code::Internal));
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("internal") && !body.contains("secret"), "{body}");
    }
}
