//! `GET /health/live` and `/health/ready`: for whoever restarts the process or routes to it.
//!
//! Neither waits for the model, so both answer at once under any load.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::problem::{Code, Problem};

/// The state of the server.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    /// In a word: `live` or `ready`.
    status: &'static str,
}

/// Whether the process answers.
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
}

/// Whether requests are welcome: the model is there, and the server is not draining.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Health>, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::ShuttingDown, "shutting down"));
    }
    match app.now().metrics.model_is_ready() {
        true => Ok(Json(Health { status: "ready" })),
        false => Err(Problem::new(Code::ModelUnavailable, "the model is being built anew")),
    }
}
