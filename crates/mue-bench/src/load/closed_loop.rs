//! A fixed number of callers, each asking again when it is answered: the most a server can do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::Client;
use super::corpus::Corpus;
use super::curve::LoadError;
use super::exits::ExitSetting;
use super::request::{Ask, Outcome, Sent};

/// Rounds of requests per caller before the clock counts.
const WARM_UP_ROUNDS: usize = 2;

/// Least rounds per caller that are measured: at the end of a run callers idle, which has to weigh
/// little.
const ROUNDS_MIN: usize = 4;

/// Answers with status 200 per second when `callers` ask at once, measured for about `span`.
pub(super) async fn saturation(
    client: &Client,
    corpus: &mut Corpus,
    exit: &ExitSetting,
    (callers, span): (usize, Duration),
) -> Result<f64, LoadError> {
    let estimate = answers_per_s(client, corpus.asks(WARM_UP_ROUNDS * callers, exit)?, callers);
    let estimate = estimate.await?;
    let count = (estimate * span.as_secs_f64()) as usize;
    let asks = corpus.asks(count.max(ROUNDS_MIN * callers), exit)?;
    answers_per_s(client, asks, callers).await
}

/// Asks a few times, so that no first request is measured, and sees whether the server answers.
pub(super) async fn warm_up(
    client: &Client,
    corpus: &mut Corpus,
    exit: &ExitSetting,
    count: usize,
) -> Result<(), LoadError> {
    answers_per_s(client, corpus.asks(count, exit)?, 2).await.map(drop)
}

async fn answers_per_s(client: &Client, asks: Vec<Ask>, callers: usize) -> Result<f64, LoadError> {
    let asks = Arc::new(Mutex::new(asks.into_iter()));
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        running.spawn(caller(client.clone(), Arc::clone(&asks)));
    }
    let (mut answered, mut refused) = (0, None);
    for outcome in running.join_all().await.into_iter().flatten() {
        match outcome {
            Outcome::Answered(_) => answered += 1,
            Outcome::Refused(status) => refused = Some(format!("status {status}")),
            Outcome::Failed(reason) => refused = Some(reason),
        }
    }
    match (answered, refused) {
        (0, Some(reason)) => Err(LoadError::NoAnswer(reason)),
        _ => Ok(f64::from(answered) / start.elapsed().as_secs_f64()),
    }
}

/// Asks until there is nothing left to ask.
async fn caller(client: Client, asks: Arc<Mutex<std::vec::IntoIter<Ask>>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    loop {
        let next = asks.lock().expect("no caller panics").next();
        let Some(ask) = next else { return outcomes };
        let Sent { outcome, .. } = ask.send(&client, Instant::now()).await;
        outcomes.push(outcome);
    }
}
