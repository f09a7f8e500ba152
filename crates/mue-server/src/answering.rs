//! From what a client asks to the model's answers.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use mue_engine::batcher::{Admission, Answer, Permit, Priority, RequestError, Submission};
use mue_engine::{BatchOfa, Branch, Image, InvalidRequest, Pending, Reply, Request, TokenExit};
use serde::Serialize;
use utoipa::ToSchema;

use crate::bodies::HeldBytes;
use crate::options::in_time;
use crate::picture::Picture;
use crate::problem::Problem;
use crate::serving::Serving;

/// What can be asked of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// A picture in words.
    Caption,
    /// Whether a picture supports a sentence.
    Entailment,
}

impl Task {
    /// Every task.
    pub(crate) const ALL: [Self; 2] = [Self::Caption, Self::Entailment];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::Entailment => "entailment",
        }
    }

    /// What a request to a route asks for, if it does: a preflight, for one, asks nothing.
    pub(crate) fn asked(method: &Method, route: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| *method == Method::POST && task.route() == route)
    }

    /// The branches that its requests run through. The prompt of captions is the same for all, so it
    /// goes through the text branch once per model; a joint encoder, which has it beside every
    /// picture, counts as the image branch.
    pub(crate) fn branches(self) -> &'static [Branch] {
        match self {
            Self::Caption => &[Branch::Image, Branch::Decoder],
            Self::Entailment => &Branch::ALL,
        }
    }

    /// The route that asks for it.
    fn route(self) -> &'static str {
        match self {
            Self::Caption => "/v1/caption",
            Self::Entailment => "/v1/entailment",
        }
    }
}

/// What a client asks, but for the task itself.
pub(crate) struct Order {
    pub(crate) task: Task,
    pub(crate) pictures: Vec<Picture>,
    /// Rows that it will need, for all pictures together.
    pub(crate) rows: usize,
    pub(crate) priority: Priority,
    pub(crate) arrived: Instant,
    pub(crate) deadline: Instant,
    /// Whether the tokens are wanted as they come.
    pub(crate) stream: bool,
}

/// An order that the queue has taken. Dropping it cancels what is not answered.
pub(crate) struct Accepted {
    task: Task,
    /// Those that are not answered yet, in their order.
    tickets: VecDeque<Pending>,
    answers: Vec<Answer<Reply>>,
    arrived: Instant,
    body: Duration,
    preprocess: Duration,
    #[cfg(feature = "otlp")]
    queued: Instant,
}

/// What happens to an order.
pub(crate) enum Progress {
    /// A token of the result of this place.
    Token(usize, TokenExit),
    /// Everything; nothing comes after it.
    Answered(Answered),
}

/// Every answer to an order.
pub(crate) struct Answered {
    pub(crate) answers: Vec<Answer<Reply>>,
    /// Until the body was there and read.
    pub(crate) body: Duration,
    pub(crate) preprocess: Duration,
    pub(crate) total: Duration,
}

/// Puts an order into the queue, whole or not at all. Who is admitted may reserve its rows while the
/// server drains.
///
/// # Errors
///
/// If there is no room, a picture cannot be used, or the deadline passes first.
pub(crate) async fn accept(
    app: &Serving,
    (admission, held): (Arc<Admission<BatchOfa>>, Arc<HeldBytes>),
    order: Order,
    requests: impl FnOnce(Vec<Image>) -> Result<Vec<Request>, InvalidRequest>,
) -> Result<Accepted, Problem> {
    let Order { task, pictures, rows, priority, arrived, deadline, stream } = order;
    let started = Instant::now();
    let results = if task == Task::Caption { pictures.len() } else { rows };
    let preparing = app.metrics.preparing(results);
    let prepared = prepare(app, (admission, held), (pictures, rows));
    let prepared = app.drain.refuse_late(in_time(deadline, "preprocess", prepared)).await;
    preparing.ended(prepared.as_ref().err());
    let preprocess = started.elapsed();
    #[cfg(feature = "otlp")]
    crate::spans::preprocess(started, preprocess);
    let (permit, images) = prepared?;
    let inputs = requests(images)?;
    let submission = Submission { inputs, priority, deadline: Some(deadline), stream };
    let queued = Instant::now();
    let tickets = permit.submit(submission, queued)?.into();
    Ok(Accepted {
        task,
        tickets,
        answers: Vec::new(),
        arrived,
        body: started.saturating_duration_since(arrived),
        preprocess,
        #[cfg(feature = "otlp")]
        queued,
    })
}

/// Makes pictures ready, and keeps rows free for them.
///
/// The rows are reserved before the first picture is decoded, so that nobody decodes pictures only to
/// hear that the queue is full, and after the last is fetched, so that no slow host keeps rows from
/// others.
async fn prepare(
    app: &Serving,
    (admission, held): (Arc<Admission<BatchOfa>>, Arc<HeldBytes>),
    (pictures, rows): (Vec<Picture>, usize),
) -> Result<(Permit<BatchOfa>, Vec<Image>), Problem> {
    let pictures = app.preprocessor.fetch(pictures, &held).await?;
    let permit = admission.reserve(rows, Instant::now())?;
    drop(admission);
    let images = app.preprocessor.decode(pictures, &held).await?;
    Ok((permit, images))
}

impl Accepted {
    /// What is asked.
    pub(crate) fn task(&self) -> Task {
        self.task
    }

    /// What happens next: tokens if they are wanted, result by result, then the answers.
    ///
    /// # Errors
    ///
    /// The first result that there is none of takes the others with it: nothing comes after it,
    /// and they are cancelled when this is dropped.
    pub(crate) async fn next(&mut self) -> Result<Progress, Problem> {
        while let Some(ticket) = self.tickets.front_mut() {
            if let Some(token) = ticket.next_event().await {
                return Ok(Progress::Token(self.answers.len(), token));
            }
            let answer = ticket.await.inspect_err(log)?;
            #[cfg(feature = "otlp")]
            crate::spans::stages(self.answers.len(), self.queued, &answer);
            self.answers.push(answer);
            self.tickets.pop_front();
        }
        let (body, preprocess, total) = (self.body, self.preprocess, self.arrived.elapsed());
        let answers = std::mem::take(&mut self.answers);
        Ok(Progress::Answered(Answered { answers, body, preprocess, total }))
    }

    /// Waits for the answers.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub(crate) async fn answers(mut self, app: &Serving) -> Result<Answered, Problem> {
        loop {
            if let Progress::Answered(answered) = self.next().await? {
                app.metrics.answered(self.task, &answered);
                return Ok(answered);
            }
        }
    }
}

/// Writes down what the client is not told.
fn log<E: Debug>(error: &RequestError<E>) {
    if let RequestError::Model(cause) = error {
        tracing::error!(?cause, "the model failed on a request");
    }
}
