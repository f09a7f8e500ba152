//! One request: what it asks, and what became of it.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::answer::Answer;
use super::client::{Client, ClientError, Response};
use super::corpus::Picture;
use super::exits::ExitSetting;

/// Of what a server says about a refusal, so much is kept.
const DETAIL_CHARS_MAX: usize = 300;

/// A request that can be sent. Requests share all that they hold, so that a long load costs no
/// memory.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) picture: Arc<Picture>,
    /// What is to be judged; without it, a caption is asked for.
    pub(super) hypothesis: Option<Arc<str>>,
    pub(super) exit: Arc<ExitSetting>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Sent {
    /// From when it was due to its whole answer.
    pub latency: Duration,
    /// From when it was due to when it was sent.
    pub late: Duration,
    /// When the answer was there.
    pub ended: Instant,
    /// What it was.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With status 200.
    Answered(Answer),
    /// With another status.
    Refused {
        /// Which.
        status: u16,
        /// The body that came with it.
        body: Bytes,
    },
    /// Without a status, or with a 200 that cannot be read: the reason.
    Failed(String),
}

impl Ask {
    fn path(&self) -> &'static str {
        match self.hypothesis {
            Some(_) => "/v1/entailment",
            None => "/v1/caption",
        }
    }

    /// The JSON that is sent: the picture as it is kept, and what comes before and after it.
    fn body(&self) -> [Bytes; 3] {
        let exit = self.exit.value();
        // Base64 needs no escapes.
        let mut end = format!("\",\"exit\":{exit}");
        if let Some(hypothesis) = self.hypothesis.as_deref() {
            let hypothesis = serde_json::Value::from(hypothesis);
            write!(end, ",\"hypothesis\":{hypothesis}").expect("a string can be written to");
        }
        end.push('}');
        [Bytes::from_static(b"{\"image\":\""), self.picture.base64.clone(), end.into()]
    }

    /// Sends it and waits for its answer. The latency counts from `due`.
    pub(super) async fn send(self, client: &Client, due: Instant) -> Sent {
        let late = due.elapsed();
        self.picture.count_sent();
        let answer = client.send(Method::POST, self.path(), self.body()).await;
        let ended = Instant::now();
        let outcome = match answer {
            Ok(response) if response.status == StatusCode::OK => {
                let answer = serde_json::from_slice(&response.body).map_err(ClientError::from);
                answer.map_or_else(|error| Outcome::Failed(reason(&error)), Outcome::Answered)
            }
            Ok(Response { status, body }) => Outcome::Refused { status: status.as_u16(), body },
            Err(error) => Outcome::Failed(reason(&error)),
        };
        Sent { latency: ended.saturating_duration_since(due), late, ended, outcome }
    }
}

impl Outcome {
    /// The answer, or why there is none.
    pub(super) fn answer(self) -> Result<Answer, String> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::Refused { status, body } => Err(refusal(status, &body)),
            Self::Failed(reason) => Err(reason),
        }
    }
}

/// A status, and what a problem's JSON says about it.
pub(super) fn refusal(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let Ok(Problem { detail }) = serde_json::from_slice(body) else {
        return format!("status {status}");
    };
    let detail = detail.replace(char::is_control, " ");
    let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
    format!("status {status} ({detail})")
}

/// An error with its causes.
fn reason(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_the_services_form() {
        let picture = Arc::new(Picture::made_up("aGk="));
        let exit: Arc<ExitSetting> = Arc::new("quality=0.5".parse().unwrap());
        let sent = |hypothesis: Option<&str>| {
            let (picture, exit) = (Arc::clone(&picture), Arc::clone(&exit));
            let ask = Ask { picture, hypothesis: hypothesis.map(Arc::from), exit };
            let body = serde_json::from_slice::<serde_json::Value>(&ask.body().concat());
            (ask.path(), body.unwrap())
        };
        let caption = serde_json::json!({"image": "aGk=", "exit": {"quality": 0.5}});
        assert_eq!(sent(None), ("/v1/caption", caption));
        let (path, body) = sent(Some("a \"red\" circle"));
        assert_eq!((path, &body["hypothesis"]), ("/v1/entailment", &"a \"red\" circle".into()));
    }

    #[test]
    fn a_refusal_is_told_with_the_problems_detail() {
        let of = |body: &'static str| {
            Outcome::Refused { status: 422, body: body.into() }.answer().unwrap_err()
        };
        let problem = r#"{"title": "Invalid", "status": 422, "detail": "a threshold\nis above 1"}"#;
        assert_eq!(of(problem), "status 422 (a threshold is above 1)");
        assert_eq!(of("<html>"), "status 422");
    }
}
