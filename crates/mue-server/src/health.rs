//! `GET /health/live` and `/health/ready`: for whoever restarts the process or routes to it.
//!
//! Neither waits for the model, so both answer at once under any load.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::contract::{OpenProblems, ReadyProblems};
use crate::problem::{Code, Problem};

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// In a word.
    status: Status,
}

/// What a probe found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HealthStatus)]
pub(crate) enum Status {
    /// The process answers.
    Live,
    /// Requests are welcome.
    Ready,
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "live",
    tag = "operations",
    responses((status = 200, description = "It does.", body = Health), OpenProblems),
    security(()),
)]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { status: Status::Live })
}

/// Whether requests are welcome: the model is there, and the server is not draining.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "ready",
    tag = "operations",
    responses((status = 200, description = "They are.", body = Health), ReadyProblems),
    security(()),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Json<Health>, Problem> {
    if app.drain.has_begun() {
        return Err(Problem::new(Code::ShuttingDown, "shutting down"));
    }
    match app.now().metrics.model_is_ready() {
        true => Ok(Json(Health { status: Status::Ready })),
        false => Err(Problem::new(Code::ModelUnavailable, "the model is being built anew")),
    }
}
