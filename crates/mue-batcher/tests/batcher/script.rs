//! Random scripts of everything at once, checked against what must always be true.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mue_batcher::{
    Config, Outcome, Permit, Priority, RequestError, RequestId, Rows, SubmitError, Turn,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::acts::{Act, acts, configs};
use crate::fake::{Failure, Fake, Plan};
use crate::recorder::Seen;
use crate::scene::{Scene, Terms, Ticket, Verdict, ms, verdict};

/// What the script knows of an accepted request.
struct Told {
    priority: Priority,
    arrived: Instant,
    key: usize,
    rows: Rows,
    verdict: Option<Outcome>,
}

struct Run {
    scene: Scene,
    config: Config,
    tickets: BTreeMap<RequestId, Ticket>,
    told: HashMap<RequestId, Told>,
    permits: Vec<(Permit<Fake>, usize)>,
    plans: Vec<Plan>,
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
            plans: Vec::new(),
            accepted: 0,
            outcomes: HashMap::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit { plans, priority, deadline_ms, permit } => {
                let deadline = deadline_ms.map(|deadline| self.scene.shared.now() + ms(deadline));
                self.submit(&plans, Terms { priority, deadline, stream: false }, permit);
            }
            Act::Reserve(rows) => {
                let permit = self.scene.handle.reserve(rows, self.scene.shared.now());
                self.permits.extend(permit.ok().map(|permit| (permit, rows)));
                if self.permits.len() > 3 {
                    self.permits.remove(0);
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

    fn submit(&mut self, plans: &[Plan], terms: Terms, with_permit: bool) {
        let submission = self.scene.submission(plans, terms);
        let keys: Vec<usize> = submission.inputs.iter().map(|input| input.key).collect();
        self.plans.extend(plans);
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
                for ((ticket, key), plan) in tickets.into_iter().zip(keys).zip(plans) {
                    let (priority, rows) = (terms.priority, plan.rows);
                    let told = Told { priority, arrived, key, rows, verdict: None };
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
            self.check(id, &verdict);
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

    fn check(&mut self, id: RequestId, verdict: &Verdict) {
        let told = self.told.get_mut(&id).expect("it was accepted");
        assert_eq!(told.verdict, None, "answered twice");
        told.verdict = Some(match verdict {
            Ok(answer) => {
                assert_eq!(answer.output, told.key);
                let plan = self.plans[told.key];
                let computed = self.scene.shared.world().computed[&told.key];
                assert_eq!(computed, (plan.layers, plan.tokens), "its own depth and no more");
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
        self.scene.handle.drain(self.scene.shared.now() + deadline);
        self.permits.clear();
        loop {
            match self.turn() {
                Turn::Again => {}
                Turn::Idle { until } => {
                    let until = until.expect("a drain has an end");
                    assert!(until > self.scene.shared.now(), "an idle worker has time");
                    self.scene.shared.world().now = until;
                }
                Turn::Finished => break,
            }
        }
        for (id, mut ticket) in std::mem::take(&mut self.tickets) {
            let verdict = verdict(&mut ticket).expect("everything is answered");
            self.check(id, &verdict);
        }
        self.scene.assert_clean();
        assert_eq!(self.scene.shared.world().models, 0);
        self.check_history();
        self.told.clear();
        self.config = new.clone();
        self.scene.renew(new);
    }

    /// What the observer saw agrees with what callers were told, and the order was fair.
    fn check_history(&mut self) {
        let mut waiting = BTreeMap::new();
        let mut rows = 0;
        let aged = |id: &RequestId| {
            let told = &self.told[id];
            (told.arrived + self.config.aging * told.priority as u32, *id)
        };
        let mut ended = HashMap::new();
        for seen in self.scene.recorder.seen().iter() {
            match seen {
                Seen::Accepted(id, _) => assert_eq!(waiting.insert(aged(id), *id), None),
                Seen::Admitted(id, _) => {
                    let first = waiting.pop_first().map(|(_, first)| first);
                    assert_eq!(first, Some(*id), "the first in (aged) order goes first");
                    rows += self.told[id].rows.encode;
                }
                Seen::CohortStarted(start) => {
                    assert_eq!(start.rows, rows, "the rows admitted");
                    assert!(start.rows <= self.config.cohort_rows_max);
                    rows = 0;
                }
                Seen::Ended(id, end) => {
                    waiting.remove(&aged(id));
                    assert_eq!(ended.insert(*id, end.outcome), None, "ended twice");
                    *self.outcomes.entry(end.outcome).or_default() += 1;
                }
                Seen::Panicked(_) => rows = 0,
                _ => {}
            }
        }
        assert_eq!(ended.len(), self.told.len());
        for (id, told) in &self.told {
            assert_eq!(Some(ended[id]), told.verdict, "seen and told of {id}");
        }
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
