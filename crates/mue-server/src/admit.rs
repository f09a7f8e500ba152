//! Who is let in: as many as there are places, while the queue has room for them, and nobody any more
//! once the server drains.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use mue_engine::BatchOfa;
use mue_engine::batcher::{Admission, Handle};

use crate::app::App;
use crate::problem::{Code, Problem, RETRY_AFTER_UNKNOWN};
use crate::serving::Serving;

/// A request that was let in.
#[derive(Clone)]
pub(crate) struct Admitted {
    /// What lets it ask the engine, should the server be told to stop before its body is there.
    pub(crate) admission: Arc<Admission<BatchOfa>>,
    /// What serves it.
    pub(crate) serving: Serving,
}

/// Bounds the requests under way, before any body is read.
pub(crate) async fn layer(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if app.drain.has_begun() {
        return Err(shutting_down());
    }
    let (serving, now) = (app.now(), Instant::now());
    // A queue without room for one row is said before anything is made of the body.
    let admission = Arc::new(serving.engine.batcher().admit(now)?);
    let place = app.places.take().ok_or_else(|| no_place(&app, &serving, now))?;
    // Held here until there is a response, and by a stream until its end.
    let place = Arc::new(place);
    request.extensions_mut().insert(Arc::clone(&place));
    request.extensions_mut().insert(Admitted { admission, serving });
    Ok(next.run(request).await)
}

/// A drain that has begun meanwhile waits for all places, and leaves none free.
fn no_place(app: &App, serving: &Serving, now: Instant) -> Problem {
    if app.drain.has_begun() {
        return shutting_down();
    }
    let detail = format!("{} requests are under way", app.places.max());
    too_many(detail, serving.engine.batcher(), now)
}

/// There are too many requests, or too much is held for them; some leave when rows do.
pub(crate) fn too_many(detail: String, batcher: &Handle<BatchOfa>, now: Instant) -> Problem {
    let wait = batcher.retry_after(1, now).unwrap_or(RETRY_AFTER_UNKNOWN);
    Problem::new(Code::TooManyRequests, detail).retry_after(wait)
}

fn shutting_down() -> Problem {
    Problem::new(Code::ShuttingDown, "shutting down")
}
