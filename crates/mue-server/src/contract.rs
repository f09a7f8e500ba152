//! `GET /openapi.json`: what clients may rely on.
//!
//! Schemas are derived from the wire types, operations from the handlers. What this server and its
//! model allow is filled in when the contract is asked for, so that its limits are those that hold.

mod problems;
mod refine;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mue_engine::ModelFolder;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use crate::config::Config;
use crate::problem::ProblemJson;
use crate::serving::Serving;
use crate::stream::TokenEvent;
use crate::{caption, entailment, health, metrics, models, reload};

pub(crate) use problems::{
    GuardedProblems, OpenProblems, ReadyProblems, ReloadProblems, TaskProblems,
};

/// A small red picture, for the examples.
pub(crate) const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mO4I2KDFTEMLQkAdntLAasbgAUAAAAASUVORK5CYII=";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mue",
        description = "Captions pictures and judges sentences about them with models that stop early.\n\n\
            Every answer says where it left the model, and what that saved. Errors are problems \
            (RFC 9457) with a stable `code`. The limits are those of the server that this was read \
            from; in the repository, those of the default settings and the demo model.\n\n\
            A request whose head cannot be understood reaches no route, and its answer has no body: 400 \
            if it is no HTTP, 414 for a target of more than 65534 bytes, 431 for more bytes than the server \
            takes (`header_bytes_max`) or more than 100 header fields. Of a request that is refused \
            early the rest of the body is let pass and the connection goes on; where that would be too much, or take \
            too long, the answer says `connection: close`.\n\n\
            A path that is not here is answered with the problem `not_found` (404), another method of one that \
            is with `method_not_allowed` (405) and the header `allow`.",
    ),
    servers((url = ".", description = "This server")),
    paths(
        caption::route,
        entailment::route,
        models::route,
        health::live,
        health::ready,
        metrics::route,
        reload::route,
        route,
    ),
    components(schemas(ProblemJson, TokenEvent)),
    tags(
        (name = "inference", description = "Pictures in, words and verdicts out."),
        (name = "models", description = "What is loaded, and how it exits."),
        (name = "operations", description = "For whoever runs the server."),
    ),
)]
struct Contract;

/// The contract of a server with these settings and this model, as OpenAPI 3.1.
pub fn openapi(config: &Config, model: &ModelFolder) -> Value {
    let mut contract = Contract::openapi();
    let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    contract.components.get_or_insert_default().add_security_scheme("api_key", key);
    // It is made of strings, numbers, lists and maps, which are always JSON.
    let mut document = serde_json::to_value(contract).unwrap_or_default();
    refine::refine(&mut document, config, model);
    document
}

/// The same as it is sent.
pub(crate) fn json(config: &Config, model: &ModelFolder) -> Bytes {
    openapi(config, model).to_string().into()
}

/// This contract.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "contract",
    tag = "operations",
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object),
        OpenProblems,
    ),
    security(()),
)]
pub(crate) async fn route(app: Serving) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.contract()).into_response()
}
