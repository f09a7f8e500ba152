//! A batcher, its world, and a hand on the clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mue_batcher::{
    Answer, Config, Handle, Priority, RequestError, Submission, SubmitError, Turn, Worker, pair,
};

use crate::fake::{Failure, Fake, Input, Shared};
use crate::plan::Plan;
use crate::recorder::Recorder;

pub(crate) type Verdict = Result<Answer<usize>, RequestError<Failure>>;
pub(crate) type Ticket = mue_batcher::Ticket<Fake>;

pub(crate) struct Scene {
    pub(crate) handle: Handle<Fake>,
    pub(crate) worker: Worker<Fake>,
    pub(crate) shared: Shared,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) start: Instant,
    next_key: usize,
}

/// How a list is submitted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stream: bool,
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Scene {
    /// A batcher whose model is built.
    pub(crate) fn new(config: Config) -> Self {
        let mut scene = Self::unbuilt(config);
        assert_eq!(scene.turn(), Turn::Again);
        scene
    }

    pub(crate) fn unbuilt(config: Config) -> Self {
        let shared = Shared::new();
        let recorder = Arc::new(Recorder::default());
        let factory = {
            let shared = shared.clone();
            move || shared.model()
        };
        let (handle, worker) = pair(config, factory, recorder.clone()).expect("a valid config");
        let start = shared.now();
        Self { handle, worker, shared, recorder, start, next_key: 0 }
    }

    /// A new batcher in the same world.
    pub(crate) fn renew(&mut self, config: Config) {
        let shared = self.shared.clone();
        let factory = move || shared.model();
        self.recorder = Arc::new(Recorder::default());
        (self.handle, self.worker) =
            pair(config, factory, self.recorder.clone()).expect("a valid config");
    }

    pub(crate) fn submission(&mut self, plans: &[Plan], terms: Terms) -> Submission<Input> {
        let mut world = self.shared.world();
        let mut inputs = Vec::new();
        for plan in plans {
            let (key, plan) = (self.next_key, *plan);
            self.next_key += 1;
            world.ends.extend(terms.deadline.map(|deadline| (key, deadline)));
            inputs.push(Input { key, plan, _alive: Arc::clone(&world.alive) });
        }
        let Terms { priority, deadline, stream } = terms;
        Submission { inputs, priority, deadline, stream }
    }

    pub(crate) fn submit(
        &mut self,
        plans: &[Plan],
        terms: Terms,
    ) -> Result<Vec<Ticket>, SubmitError> {
        let submission = self.submission(plans, terms);
        self.handle.submit(submission, self.shared.now())
    }

    /// Submits one request, which is accepted.
    pub(crate) fn one(&mut self, plan: Plan) -> Ticket {
        self.with(plan, Terms::default())
    }

    pub(crate) fn with(&mut self, plan: Plan, terms: Terms) -> Ticket {
        self.submit(&[plan], terms).expect("it is accepted").pop().expect("one ticket")
    }

    pub(crate) fn turn(&mut self) -> Turn {
        let shared = self.shared.clone();
        let turn = self.worker.turn(&move || shared.now());
        let wrongs = std::mem::take(&mut self.shared.world().wrongs);
        assert_eq!(wrongs, [] as [String; 0]);
        turn
    }

    pub(crate) fn turns(&mut self, turns: usize) {
        for turn in 0..turns {
            assert_eq!(self.turn(), Turn::Again, "turn {turn}");
        }
    }

    /// Takes turns until there is nothing to do.
    pub(crate) fn work(&mut self) -> Turn {
        loop {
            match self.turn() {
                Turn::Again => {}
                idle => return idle,
            }
        }
    }

    pub(crate) fn advance(&mut self, duration: Duration) {
        self.shared.world().now += duration;
    }

    pub(crate) fn at(&self, time_ms: u64) -> Instant {
        self.start + ms(time_ms)
    }

    /// The steps so far, as `b2 e2 e1 d2`.
    pub(crate) fn steps(&self) -> String {
        let world = self.shared.world();
        let steps: Vec<String> =
            world.steps.iter().map(|(kind, rows)| format!("{kind}{rows}")).collect();
        steps.join(" ")
    }

    /// Nothing is left of any request or permit, anywhere.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.handle.load(), mue_batcher::Load::default());
        let world = self.shared.world();
        let alive = Arc::strong_count(&world.alive) - 1;
        drop(world);
        assert_eq!(alive, 0, "requests and cohorts that still exist somewhere");
    }
}

pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The verdict, if there is one.
pub(crate) fn verdict(ticket: &mut Ticket) -> Option<Verdict> {
    match poll(ticket) {
        Poll::Ready(verdict) => Some(verdict),
        Poll::Pending => None,
    }
}

pub(crate) fn answered(mut ticket: Ticket) -> Answer<usize> {
    verdict(&mut ticket).expect("there is a verdict").expect("it is an answer")
}

pub(crate) fn refused(mut ticket: Ticket) -> RequestError<Failure> {
    verdict(&mut ticket).expect("there is a verdict").expect_err("it is an error")
}

/// Everything the ticket would stream now.
pub(crate) fn events(ticket: &mut Ticket) -> Vec<usize> {
    let mut events = Vec::new();
    while let Poll::Ready(Some(event)) = ticket.poll_event(&mut Context::from_waker(Waker::noop()))
    {
        events.push(event);
    }
    events
}
