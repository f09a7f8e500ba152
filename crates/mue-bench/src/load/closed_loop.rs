//! A fixed number of callers, each asking again when it is answered: the most a server can do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::Client;
use super::corpus::Corpus;
use super::curve::LoadError;
use super::exits::ExitSetting;
use super::request::Ask;

/// Rounds of requests per caller before the clock counts.
const WARM_UP_ROUNDS: usize = 2;

/// Least rounds per caller that are measured if there is time for them: at the end of a run callers
/// idle, which has to weigh little.
const ROUNDS_MIN: usize = 4;

/// Share of requests without an answer beyond which the others are no measure: a server that
/// refuses at once is asked again at once.
const REFUSED_MAX: f64 = 0.01;

/// Answers with status 200 per second when `callers` ask at once.
///
/// Nothing is sent once `span` has passed, warm-up included. What is under way then is awaited and
/// counts, with its time. If a slow server leaves no time after the warm-up, that is the measure.
pub(super) async fn saturation(
    client: &Client,
    corpus: &mut Corpus,
    exit: &ExitSetting,
    (callers, span): (usize, Duration),
) -> Result<f64, LoadError> {
    let asks = corpus.asks(WARM_UP_ROUNDS * callers, exit)?;
    let end = Instant::now() + span;
    let estimate = ask_all(client, asks, (callers, Some(end))).await.answers_per_s()?;
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(estimate);
    }
    let count = (estimate * left.as_secs_f64()) as usize;
    let asks = corpus.asks(count.max(ROUNDS_MIN * callers), exit)?;
    // Making them took time in which nothing was sent.
    let end = Instant::now() + left;
    ask_all(client, asks, (callers, Some(end))).await.answers_per_s()
}

/// Asks a few times, so that no first request is measured, and sees whether the server answers.
pub(super) async fn warm_up(
    client: &Client,
    corpus: &mut Corpus,
    exit: &ExitSetting,
    count: usize,
) -> Result<(), LoadError> {
    let asked = ask_all(client, corpus.asks(count, exit)?, (2, None)).await;
    match (asked.answered, asked.first) {
        (0, Some(first)) => Err(LoadError::NoAnswer(first)),
        _ => Ok(()),
    }
}

/// What became of a closed loop's requests.
#[derive(Debug, Default)]
struct Asked {
    answered: usize,
    refused: usize,
    /// Why the first of those had no answer.
    first: Option<String>,
    elapsed: Duration,
}

impl Asked {
    fn add(&mut self, problem: Option<String>) {
        match problem {
            None => self.answered += 1,
            Some(problem) => {
                self.refused += 1;
                self.first.get_or_insert(problem);
            }
        }
    }

    /// Answers per second, if they are nearly all that was asked for.
    fn answers_per_s(self) -> Result<f64, LoadError> {
        let Self { answered, refused, first, elapsed } = self;
        let requests = answered + refused;
        match first {
            Some(first) if answered == 0 => Err(LoadError::NoAnswer(first)),
            Some(first) if refused as f64 > requests as f64 * REFUSED_MAX => {
                Err(LoadError::Refused { refused, requests, first })
            }
            _ => Ok(answered as f64 / elapsed.as_secs_f64()),
        }
    }
}

/// Asks until there is nothing left to ask or the end is there.
async fn ask_all(
    client: &Client,
    asks: Vec<Ask>,
    (callers, end): (usize, Option<Instant>),
) -> Asked {
    let asks = Arc::new(Mutex::new(asks.into_iter()));
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        running.spawn(caller(client.clone(), Arc::clone(&asks), end));
    }
    let mut asked = Asked::default();
    running.join_all().await.into_iter().flatten().for_each(|problem| asked.add(problem));
    Asked { elapsed: start.elapsed(), ..asked }
}

/// Asks at least once, and says of each request why it had no answer, if it had none.
async fn caller(
    client: Client,
    asks: Arc<Mutex<std::vec::IntoIter<Ask>>>,
    end: Option<Instant>,
) -> Vec<Option<String>> {
    let mut problems = Vec::new();
    loop {
        let next = asks.lock().expect("no caller panics").next();
        let Some(ask) = next else { return problems };
        let sent = ask.send(&client, Instant::now()).await;
        problems.push(sent.outcome.answer().err());
        if end.is_some_and(|end| Instant::now() >= end) {
            return problems;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::Requests;
    use super::*;

    fn asked(answered: usize, refused: usize) -> Result<f64, LoadError> {
        let mut asked = Asked { elapsed: Duration::from_secs(2), ..Asked::default() };
        (0..answered).for_each(|_| asked.add(None));
        (0..refused).for_each(|place| asked.add(Some(format!("status 429 ({place})"))));
        asked.answers_per_s()
    }

    #[tokio::test]
    async fn nothing_is_sent_after_the_end() {
        // Nobody listens there any more.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = Client::new(&url, None).unwrap();
        let spec = "scenes:seed=1,count=2".parse().unwrap();
        let mut corpus = Corpus::open(&spec, Vec::new(), 0.5).unwrap();
        let asks = corpus.asks(50, &"off".parse().unwrap()).unwrap();
        let asked = ask_all(&client, asks, (3, Some(Instant::now()))).await;
        assert_eq!((asked.answered, asked.refused), (0, 3));
        // Of two pictures, and of 50 requests that were made.
        assert_eq!(corpus.asked(), Requests { sent: 3, repeats: 1 });
    }

    #[test]
    fn answers_beside_more_than_a_few_refusals_are_no_saturation() {
        assert_eq!(asked(198, 2).ok(), Some(99.0));
        let refused = asked(120, 264).unwrap_err().to_string();
        assert!(refused.starts_with("264 of 384 requests"), "{refused}");
        assert!(refused.ends_with("status 429 (0)"), "{refused}");
        let none = asked(0, 5).unwrap_err();
        assert!(matches!(&none, LoadError::NoAnswer(first) if first == "status 429 (0)"), "{none}");
    }
}
