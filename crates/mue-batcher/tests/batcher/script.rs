//! Random scripts of everything at once, checked against what must always be true.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mue_batcher::{
    Admission, Config, Outcome, Permit, Priority, RequestError, RequestId, SubmitError, Turn,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::acts::{Act, acts, configs};
use crate::fake::{Failure, Fake};
use crate::history::History;
use crate::plan::Plan;
use crate::scene::{Scene, Terms, Ticket, Verdict, events, ms, verdict};

/// What the script knows of an accepted request.
pub(crate) struct Told {
    pub(crate) priority: Priority,
    pub(crate) arrived: Instant,
    pub(crate) plan: Plan,
    pub(crate) verdict: Option<Outcome>,
    key: usize,
    stream: bool,
}

struct Run {
    scene: Scene,
    config: Config,
    tickets: BTreeMap<RequestId, Ticket>,
    told: HashMap<RequestId, Told>,
    permits: Vec<(Permit<Fake>, usize)>,
    admissions: Vec<Admission<Fake>>,
    accepted: usize,
    outcomes: HashMap<Outcome, usize>,
}

impl Run {
    fn new(config: Config) -> Self {
        Self {
            scene: Scene::unbuilt(config.clone()),
            config,
            tickets: BTreeMap::new(),
            told: HashMap::new(),
            permits: Vec::new(),
            admissions: Vec::new(),
            accepted: 0,
            outcomes: HashMap::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit { plans, priority, deadline_ms, stream, permit } => {
                let deadline = deadline_ms.map(|deadline| self.scene.shared.now() + ms(deadline));
                self.submit(&plans, Terms { priority, deadline, stream }, permit);
            }
            Act::Reserve(rows) => {
                let permit = self.scene.handle.reserve(rows, self.scene.shared.now());
                self.keep(permit, rows);
            }
            Act::Admit => {
                let admission = self.scene.handle.admit(self.scene.shared.now());
                self.admissions.extend(admission.ok());
                if self.admissions.len() > 3 {
                    self.admissions.remove(0);
                }
            }
            Act::ReserveAdmitted(rows) => {
                let now = self.scene.shared.now();
                if let Some(admission) = self.admissions.pop() {
                    self.keep(admission.reserve(rows, now), rows);
                }
            }
            Act::Cancel(index) => self.cancel(index),
            Act::Turns(turns) => {
                for _ in 0..turns {
                    self.turn();
                }
            }
            Act::Advance(time_ms) => self.scene.advance(ms(time_ms)),
            Act::Drain { deadline_ms, new } => self.drain(ms(deadline_ms), new),
            Act::FailBuilds(builds) => self.scene.shared.world().builds_to_fail = builds,
        }
    }

    /// Keeps the newest permits.
    fn keep(&mut self, permit: Result<Permit<Fake>, SubmitError>, rows: usize) {
        self.permits.extend(permit.ok().map(|permit| (permit, rows)));
        if self.permits.len() > 3 {
            self.permits.remove(0);
        }
    }

    fn submit(&mut self, plans: &[Plan], terms: Terms, with_permit: bool) {
        let submission = self.scene.submission(plans, terms);
        let keys: Vec<usize> = submission.inputs.iter().map(|input| input.key).collect();
        let rows: usize = plans.iter().map(|plan| plan.rows.held()).sum();
        let (load, arrived) = (self.scene.handle.load(), self.scene.shared.now());
        let permit = if with_permit { self.permits.pop() } else { None };
        let promised = permit.as_ref().map_or(0, |(_, rows)| *rows);
        let result = match permit {
            Some((permit, _)) => permit.submit(submission, arrived),
            None => self.scene.handle.submit(submission, arrived),
        };
        let held = load.queue.rows + load.reserved_rows + rows.saturating_sub(promised);
        match result {
            Ok(tickets) => {
                assert!(held <= self.config.queue_rows_max, "the queue is bounded");
                assert_eq!(tickets.len(), plans.len());
                self.accepted += tickets.len();
                let Terms { priority, stream, .. } = terms;
                for ((ticket, key), plan) in tickets.into_iter().zip(keys).zip(plans) {
                    let plan = *plan;
                    let told = Told { priority, arrived, plan, verdict: None, key, stream };
                    self.told.insert(ticket.id(), told);
                    self.tickets.insert(ticket.id(), ticket);
                }
            }
            Err(SubmitError::QueueFull { .. }) => assert!(held > self.config.queue_rows_max),
            Err(_) => {}
        }
    }

    fn cancel(&mut self, index: prop::sample::Index) {
        if self.tickets.is_empty() {
            return;
        }
        let id =
            *self.tickets.keys().nth(index.index(self.tickets.len())).expect("the index is within");
        let mut ticket = self.tickets.remove(&id).expect("it was found");
        if let Some(verdict) = verdict(&mut ticket) {
            self.check(id, &verdict, &events(&mut ticket));
            return;
        }
        drop(ticket);
        let told = self.told.get_mut(&id).expect("it was accepted");
        told.verdict = Some(Outcome::Cancelled);
        let mut world = self.scene.shared.world();
        let now = world.now;
        let end = world.ends.entry(told.key).or_insert(now);
        *end = now.min(*end);
    }

    fn turn(&mut self) -> Turn {
        let turn = self.scene.turn();
        let live = self.scene.handle.load().live_rows;
        assert!(live <= self.config.rows_max, "{live} live rows");
        turn
    }

    fn check(&mut self, id: RequestId, verdict: &Verdict, events: &[usize]) {
        let told = self.told.get_mut(&id).expect("it was accepted");
        assert_eq!(told.verdict, None, "answered twice");
        assert!(events.iter().copied().eq(1..=events.len()), "every token once: {events:?}");
        assert!(told.stream || events.is_empty(), "nobody asked for {events:?}");
        told.verdict = Some(match verdict {
            Ok(answer) => {
                assert_eq!(answer.output, told.key);
                let plan = told.plan;
                let world = self.scene.shared.world();
                let computed = world.computed[&told.key];
                assert_eq!(computed, (plan.layers, plan.tokens), "its own depth and no more");
                assert_eq!(world.streaming.contains(&told.key), told.stream);
                assert_eq!(events.len(), if told.stream { plan.tokens } else { 0 });
                assert_eq!(answer.batch.decode_steps as usize, plan.tokens);
                Outcome::Finished
            }
            Err(RequestError::Model(Failure)) => Outcome::Failed,
            Err(RequestError::ModelPanicked) => Outcome::Panicked,
            Err(RequestError::DeadlineExceeded { .. }) => Outcome::Expired,
            Err(RequestError::ShuttingDown | RequestError::ModelUnavailable) => Outcome::Refused,
        });
    }

    /// Shuts the batcher down, checks all it did, and opens another.
    fn drain(&mut self, deadline: Duration, new: Config) {
        let end = self.scene.shared.now() + deadline;
        self.scene.handle.drain(end);
        self.permits.clear();
        // The last who was let in before asks now, the others keep the drain waiting for nothing.
        if let Some(admission) = self.admissions.pop() {
            let permit = admission.reserve(1, self.scene.shared.now());
            assert!(!matches!(permit, Err(SubmitError::ShuttingDown)), "let in before the drain");
        }
        loop {
            match self.turn() {
                Turn::Again => {}
                Turn::Idle { until } => {
                    let is_waited_for = self.scene.shared.now() < end;
                    if !self.admissions.is_empty() && is_waited_for {
                        self.admissions.pop();
                        continue;
                    }
                    let until = until.expect("a drain has an end");
                    assert!(until > self.scene.shared.now(), "an idle worker has time");
                    self.scene.shared.world().now = until;
                }
                Turn::Finished => break,
            }
        }
        self.admissions.clear();
        for (id, mut ticket) in std::mem::take(&mut self.tickets) {
            let verdict = verdict(&mut ticket).expect("everything is answered");
            self.check(id, &verdict, &events(&mut ticket));
        }
        self.scene.assert_clean();
        assert_eq!(self.scene.shared.world().models, 0);
        let steps = std::mem::take(&mut self.scene.shared.world().steps);
        let ended =
            History::new(&self.told, &self.config, &steps).check(&self.scene.recorder.seen());
        ended.values().for_each(|outcome| *self.outcomes.entry(*outcome).or_default() += 1);
        self.told.clear();
        self.config = new.clone();
        self.scene.renew(new);
    }
}

fn run(config: Config, acts: Vec<Act>, requests_min: usize) -> Run {
    let mut run = Run::new(config);
    for act in acts {
        run.act(act);
    }
    run.drain(ms(1_000_000), Config::default());
    assert!(run.accepted >= requests_min, "{} requests", run.accepted);
    run
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_script_leaves_every_request_answered_once_and_nothing_behind(
        config in configs(),
        acts in prop::collection::vec(acts(), 1..300),
    ) {
        run(config, acts, 0);
    }
}

#[test]
fn ten_thousand_requests_of_every_kind_leave_nothing_behind() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let script = (configs(), prop::collection::vec(acts(), 40_000));
    let (config, acts) = script.new_tree(&mut runner).unwrap().current();
    let run = run(config, acts, 10_000);
    for outcome in Outcome::ALL {
        assert!(run.outcomes[&outcome] >= 20, "{outcome:?} is part of the script");
    }
}
