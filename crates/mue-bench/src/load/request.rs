//! One request: what it asks, and what became of it.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::answer::Answer;
use super::client::{Client, ClientError};
use super::corpus::Picture;
use super::exits::ExitSetting;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A picture in words.
    Caption,
    /// Whether a picture supports a sentence.
    Entailment,
}

impl Task {
    fn path(self) -> &'static str {
        match self {
            Self::Caption => "/v1/caption",
            Self::Entailment => "/v1/entailment",
        }
    }
}

/// A request that can be sent. Requests share their pictures, so that a long load costs no memory.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) task: Task,
    pub(super) picture: Arc<Picture>,
    pub(super) exit: ExitSetting,
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
    Refused(u16),
    /// Without a status, or with a 200 that cannot be read: the reason.
    Failed(String),
}

impl Ask {
    /// The JSON that is sent: the picture as it is kept, and what comes before and after it.
    fn body(&self) -> [Bytes; 3] {
        let exit = self.exit.value();
        // Base64 needs no escapes.
        let mut end = format!("\",\"exit\":{exit}");
        if self.task == Task::Entailment {
            let hypothesis = serde_json::Value::from(self.picture.hypothesis.as_str());
            write!(end, ",\"hypothesis\":{hypothesis}").expect("a string can be written to");
        }
        end.push('}');
        [Bytes::from_static(b"{\"image\":\""), self.picture.base64.clone(), end.into()]
    }

    /// Sends it and waits for its answer. The latency counts from `due`.
    pub(super) async fn send(self, client: &Client, due: Instant) -> Sent {
        let late = due.elapsed();
        let answer = client.send(Method::POST, self.task.path(), self.body()).await;
        let ended = Instant::now();
        let outcome = match answer {
            Ok(response) if response.status == StatusCode::OK => {
                let answer = serde_json::from_slice(&response.body).map_err(ClientError::from);
                answer.map_or_else(|error| Outcome::Failed(reason(&error)), Outcome::Answered)
            }
            Ok(response) => Outcome::Refused(response.status.as_u16()),
            Err(error) => Outcome::Failed(reason(&error)),
        };
        Sent { latency: ended.saturating_duration_since(due), late, ended, outcome }
    }
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
        let hypothesis = "a \"red\" circle".to_owned();
        let picture = Arc::new(Picture { base64: "aGk=".into(), hypothesis });
        let exit: ExitSetting = "quality=0.5".parse().unwrap();
        let body = |task| {
            let ask = Ask { task, picture: Arc::clone(&picture), exit: exit.clone() };
            serde_json::from_slice::<serde_json::Value>(&ask.body().concat()).unwrap()
        };
        let caption = serde_json::json!({"image": "aGk=", "exit": {"quality": 0.5}});
        assert_eq!(body(Task::Caption), caption);
        assert_eq!(body(Task::Entailment)["hypothesis"], "a \"red\" circle");
    }
}
