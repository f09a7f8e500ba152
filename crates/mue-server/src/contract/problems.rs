//! What can go wrong on which route, as responses of the contract.

use std::collections::BTreeMap;

use serde_json::to_value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::problem::{Code, Problem, ProblemJson};

type Responses = BTreeMap<String, RefOr<Response>>;

/// Of the routes that ask the model.
pub(crate) struct TaskProblems;

/// Of the routes that need a key and read no body.
pub(crate) struct GuardedProblems;

/// Of the route that reloads.
pub(crate) struct ReloadProblems;

/// Of the routes that are open to everybody.
pub(crate) struct OpenProblems;

/// Of the route that says whether requests are welcome.
pub(crate) struct ReadyProblems;

impl IntoResponses for TaskProblems {
    fn responses() -> Responses {
        problems(&[
            Code::MalformedBody,
            Code::Unauthorized,
            Code::BodyTooSlow,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::UnsupportedEncoding,
            Code::InvalidRequest,
            Code::InvalidImage,
            Code::ImageTooLarge,
            Code::ImageUrlRefused,
            Code::ImageUrlFailed,
            Code::TooManyRows,
            Code::QueueFull,
            Code::TooManyRequests,
            Code::RateLimited,
            Code::ModelFailed,
            Code::Internal,
            Code::ShuttingDown,
            Code::ModelUnavailable,
            Code::DeadlineExceeded,
        ])
    }
}

impl IntoResponses for GuardedProblems {
    fn responses() -> Responses {
        problems(&[Code::Unauthorized, Code::RateLimited, Code::Internal])
    }
}

impl IntoResponses for ReloadProblems {
    fn responses() -> Responses {
        problems(&[
            Code::Unauthorized,
            Code::KeysRequired,
            Code::ReloadInProgress,
            Code::RateLimited,
            Code::ReloadFailed,
            Code::Internal,
        ])
    }
}

impl IntoResponses for OpenProblems {
    fn responses() -> Responses {
        problems(&[Code::Internal])
    }
}

impl IntoResponses for ReadyProblems {
    fn responses() -> Responses {
        problems(&[Code::Internal, Code::ShuttingDown, Code::ModelUnavailable])
    }
}

/// One response per status.
fn problems(codes: &[Code]) -> Responses {
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(status, &codes).into()))
        .collect()
}

fn response(status: u16, codes: &[Code]) -> Response {
    let lines = codes.iter().map(|code| format!("* `{}`: {}.", code.name(), code.title()));
    let examples = codes.iter().map(|code| {
        let value = to_value(Problem::new(*code, "What happened this time.").json()).ok();
        (code.name(), ExampleBuilder::new().summary(code.title()).value(value).build())
    });
    let content = ContentBuilder::new().schema(Some(schema(codes))).examples_from_iter(examples);
    let response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n"))
        .content("application/problem+json", content.build());
    match status {
        401 => response.header("www-authenticate", text("How to send a key.")),
        415 => response
            .header("accept-encoding", text("With `unsupported_encoding`: how to send the body.")),
        429 | 503 => response.header("retry-after", seconds("Seconds after which to try again.")),
        _ => response,
    }
    .build()
}

/// A problem of one of these kinds.
fn schema(codes: &[Code]) -> Schema {
    let names = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(codes.iter().map(|code| code.name())));
    let kinds = ObjectBuilder::new().schema_type(Type::Object).property("code", names);
    let problem = Ref::from_schema_name(ProblemJson::name());
    AllOfBuilder::new().item(problem).item(kinds).build().into()
}

fn text(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

fn seconds(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}
