//! Answers as server-sent events: every token as it is decided, then the whole.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::Extensions;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use mue_engine::TokenExit;
use serde::Serialize;
use tracing::{Instrument, Span};
use utoipa::ToSchema;

use crate::answering::{Accepted, Answered, Progress};
use crate::metrics::Watch;
use crate::places::Place;
use crate::problem::Problem;
use crate::serving::Serving;

/// A `token` event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenEvent {
    /// Which result it belongs to, counted from 0.
    index: usize,
    /// Its text, with the space before it.
    #[schema(examples(" red"))]
    text: String,
    /// The layer at which it left the decoder.
    #[schema(minimum = 1)]
    layer: usize,
}

/// Marks a response whose outcome is not known when it begins.
#[derive(Clone, Copy)]
pub(crate) struct Streamed;

/// What a request holds that has to last as long as its stream.
pub(crate) struct Holds {
    watch: Option<Arc<Watch>>,
    _place: Option<Arc<Place>>,
}

impl Holds {
    /// Of a request with these extensions.
    pub(crate) fn new(extensions: &Extensions) -> Self {
        Self { watch: extensions.get().cloned(), _place: extensions.get().cloned() }
    }

    fn ended(&self, outcome: &'static str) {
        if let Some(watch) = &self.watch {
            watch.ended(outcome);
        }
    }
}

/// A stream between two events.
struct Stream<F> {
    app: Serving,
    accepted: Accepted,
    holds: Holds,
    answer: F,
}

/// Sends what happens to an order: `token` events result by result, then a `result` event with
/// the answer, or an `error` event with a problem.
pub(crate) fn respond<A: Serialize>(
    (app, accepted): (Serving, Accepted),
    holds: Holds,
    answer: impl FnOnce(Answered) -> A + Send + 'static,
) -> Response {
    let stream = Stream { app, accepted, holds, answer };
    // The response outlives the handler; what is logged meanwhile is still about this request.
    let span = Span::current();
    let events = unfold(Some(stream), move |stream| {
        async { Some(next(stream?).await) }.instrument(span.clone())
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::default());
    // nginx and its kind would hand all events out at once, at the end.
    let mut response = ([("x-accel-buffering", "no")], sse).into_response();
    response.extensions_mut().insert(Streamed);
    response
}

/// The next event, and the stream after it; none after the last.
async fn next<A: Serialize, F: FnOnce(Answered) -> A>(
    mut stream: Stream<F>,
) -> (Result<Event, Infallible>, Option<Stream<F>>) {
    match stream.accepted.next().await {
        Ok(Progress::Token(index, TokenExit { text, layer })) => {
            (Ok(event("token", &TokenEvent { index, text, layer })), Some(stream))
        }
        Ok(Progress::Answered(answered)) => {
            stream.app.metrics.answered(stream.accepted.task(), &answered);
            stream.holds.ended("ok");
            (Ok(event("result", &(stream.answer)(answered))), None)
        }
        Err(problem) => {
            stream.holds.ended(problem.code.name());
            (Ok(failed(&problem)), None)
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let internal = || failed(&Problem::new(crate::problem::Code::Internal, "no JSON"));
    Event::default().event(name).json_data(data).unwrap_or_else(|_| internal())
}

fn failed(problem: &Problem) -> Event {
    // A problem is text and a number, which are always JSON.
    let event = Event::default().event("error");
    event.json_data(problem.json()).unwrap_or_default()
}
