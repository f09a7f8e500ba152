//! What every request shares, and the table of routes.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Body};
use mue_engine::Engine;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::picture::Preprocessor;
use crate::problem::{Code, Problem};
use crate::{
    auth, caption, contract, cors, docs, entailment, health, metrics, models, playground,
    request_id,
};

/// An engine and what stands between it and the network.
pub struct App {
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) preprocessor: Preprocessor,
    /// One place per request under way.
    places: Arc<Semaphore>,
    draining: AtomicBool,
}

impl App {
    /// Serves an engine, whose observer the metrics should be.
    pub fn new(engine: Engine, config: Config, metrics: Arc<Metrics>) -> Arc<Self> {
        let preprocessor = Preprocessor::new(&config, engine.model().settings().image_size);
        let places = Arc::new(Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS)));
        let draining = AtomicBool::new(false);
        // An engine that is open has its model; its worker may not have told the observer yet.
        metrics.set_model_ready(true);
        metrics.set_bounds(&config);
        Arc::new(Self { engine, config, metrics, preprocessor, places, draining })
    }

    /// Whether nothing new is accepted any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Accepts nothing more, and waits until what was accepted is answered, or until the longest
    /// drain has passed and the rest is refused.
    pub(crate) async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + self.config.drain_max();
        self.engine.batcher().drain(deadline);
        let all = u32::try_from(self.config.requests_max).unwrap_or(u32::MAX);
        // The batcher refuses at the deadline; a moment later that has been written.
        let patience = deadline + DRAIN_MARGIN;
        let idle = tokio::time::timeout_at(patience.into(), self.places.acquire_many(all));
        // Idle or out of patience: either way the listener closes now.
        drop(idle.await);
    }
}

/// What refusing the rest of the work takes at most.
pub(crate) const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    let metrics_route = || Router::new().route("/metrics", get(metrics::route));
    let (open_metrics, guarded_metrics) = match app.config.metrics_public {
        true => (metrics_route(), Router::new()),
        false => (Router::new(), metrics_route()),
    };
    let guarded = Router::new()
        .route("/v1/caption", post(caption::route))
        .route("/v1/entailment", post(entailment::route))
        .route_layer(from_fn_with_state(Arc::clone(&app), admit))
        .route("/v1/models", get(models::route))
        .merge(guarded_metrics)
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::layer));
    Router::new()
        .merge(guarded)
        .merge(open_metrics)
        .merge(playground::routes())
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/openapi.json", get(contract::route))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors::layer(&app.config.cors_origins))
        .layer(from_fn_with_state(Arc::clone(&app), metrics::layer))
        .layer(from_fn(request_id::layer))
        .with_state(app)
}

/// Bounds the requests under way, before any body is read.
async fn admit(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "shutting down"));
    }
    let place = Arc::clone(&app.places).try_acquire_owned().map_err(|_| {
        let detail = format!("{} requests are under way", app.config.requests_max);
        Problem::new(Code::TooManyRequests, detail).retry_after(Duration::from_secs(1))
    })?;
    // Held here until there is a response, and by a stream until its end.
    let place = Arc::new(place);
    request.extensions_mut().insert(Arc::clone(&place));
    Ok(next.run(request).await)
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
