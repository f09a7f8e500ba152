//! What requests meet first: the routes, or before there are any, their absence.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::connections::Peer;
use crate::health;
use crate::problem::{Code, Problem};

/// Hands requests to the routes. While these are not open, whoever watches the server is told so at once,
/// and everybody else waits for them.
#[derive(Clone)]
pub(crate) struct Front(watch::Receiver<Option<Router>>);

/// Opens a [`Front`].
pub(crate) struct Opens(watch::Sender<Option<Router>>);

impl Opens {
    /// Lets everybody in.
    pub(crate) fn open(&self, router: Router) {
        self.0.send_replace(Some(router));
    }
}

impl Front {
    /// One that is closed, and what opens it.
    pub(crate) fn new() -> (Opens, Self) {
        let (opens, front) = watch::channel(None);
        (Opens(opens), Self(front))
    }

    /// Answers a request.
    pub(crate) async fn answer(
        mut self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let router = self.0.borrow().clone();
        let router = match (router, request.uri().path()) {
            (Some(router), _) => router,
            (None, "/health/live") => return Ok(health::live().await.into_response()),
            (None, "/health/ready" | "/metrics") => return Ok(opening().into_response()),
            (None, _) => match self.opened().await {
                Some(router) => router,
                None => {
                    return Ok(Problem::new(Code::ShuttingDown, "shutting down").into_response());
                }
            },
        };
        router.oneshot(request).await
    }

    /// The routes, as soon as there are some; `None` if there will be none.
    async fn opened(&mut self) -> Option<Router> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

fn opening() -> Problem {
    Problem::new(Code::ModelUnavailable, "the model is being opened")
}
