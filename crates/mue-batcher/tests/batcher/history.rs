//! What the observer saw of a script agrees with what the model computed, with what callers were told,
//! and with who was where; and the order was fair.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use mue_batcher::{CohortStart, Config, EncodeStep, Outcome, RequestId};

use crate::plan::{Plan, Trouble};
use crate::recorder::{Decoded, Seen};
use crate::script::Told;

/// Replays what was seen, event by event.
pub(crate) struct History<'a> {
    told: &'a HashMap<RequestId, Told>,
    config: &'a Config,
    /// Steps of the fake model that no event has told of yet.
    steps: std::slice::Iter<'a, (char, usize)>,
    /// Rows of the layer that ran beside the token last told of.
    beside: Option<usize>,
    /// In the queue, who goes next first.
    waiting: BTreeSet<(Instant, RequestId)>,
    /// Admitted to a cohort that has not started.
    admitted: BTreeSet<RequestId>,
    /// Of the newest cohort, and not over.
    cohort: BTreeSet<RequestId>,
    set: BTreeSet<RequestId>,
    ended: HashMap<RequestId, Outcome>,
}

impl<'a> History<'a> {
    pub(crate) fn new(
        told: &'a HashMap<RequestId, Told>,
        config: &'a Config,
        steps: &'a [(char, usize)],
    ) -> Self {
        Self {
            told,
            config,
            steps: steps.iter(),
            beside: None,
            waiting: BTreeSet::new(),
            admitted: BTreeSet::new(),
            cohort: BTreeSet::new(),
            set: BTreeSet::new(),
            ended: HashMap::new(),
        }
    }

    /// Checks all of it; returns how each request ended.
    pub(crate) fn check(mut self, seen: &[Seen]) -> HashMap<RequestId, Outcome> {
        seen.iter().for_each(|seen| self.replay(seen));
        assert_eq!(self.steps.next(), None, "a step that nobody was told of");
        assert_eq!(self.ended.len(), self.told.len());
        for (id, told) in self.told {
            assert_eq!(Some(self.ended[id]), told.verdict, "seen and told of {id}");
        }
        self.ended
    }

    fn replay(&mut self, seen: &Seen) {
        match seen {
            Seen::Accepted(id, _) => assert!(self.waiting.insert(self.aged(*id))),
            Seen::Admitted(id, _) => {
                let first = self.waiting.pop_first().map(|(_, first)| first);
                assert_eq!(first, Some(*id), "the first in (aged) order goes first");
                self.admitted.insert(*id);
            }
            Seen::CohortStarted(start) => self.started(start),
            Seen::Encoded(step) => self.encoded(step),
            Seen::Joined(ids, held_rows) => {
                assert!(ids.iter().all(|id| self.set.insert(*id) && !self.ended.contains_key(id)));
                assert_eq!(*held_rows, self.rows(&self.set, |plan| plan.rows.held()));
            }
            Seen::Decoded(step) => self.decoded(step),
            Seen::Ended(id, end) => self.end(*id, end.outcome),
            Seen::Panicked(_) => self.panicked(),
            Seen::Rejected(..) | Seen::Built | Seen::BuildFailed(_) => {}
        }
    }

    fn started(&mut self, start: &CohortStart) {
        self.cohort = std::mem::take(&mut self.admitted);
        assert_eq!(start.requests, self.cohort.len());
        assert_eq!(start.rows, self.rows(&self.cohort, |plan| plan.rows.encode));
        assert!(start.rows <= self.config.cohort_rows_max);
        assert_eq!(start.rows, self.computed('b'));
    }

    fn encoded(&mut self, step: &EncodeStep) {
        let EncodeStep { layer, rows, ready, beside_decode, .. } = *step;
        let encode = |plan: &Plan| if plan.layers >= layer { plan.rows.encode } else { 0 };
        assert_eq!(rows, self.rows(&self.cohort, encode), "those whose depth is not reached");
        let is_ready = |plan: &Plan| {
            usize::from(plan.layers == layer && plan.trouble != Trouble::FailAtLayer(layer))
        };
        assert_eq!(ready, self.rows(&self.cohort, is_ready));
        let beside = self.beside.take();
        assert_eq!(beside.is_some(), beside_decode);
        assert_eq!(rows, beside.unwrap_or_else(|| self.computed('e')));
    }

    fn decoded(&mut self, step: &Decoded) {
        let Decoded { held_rows, layer_rows, beside_encode } = step;
        assert_eq!(*held_rows, self.rows(&self.set, |plan| plan.rows.held()));
        let rows = self.rows(&self.set, |plan| plan.rows.decode);
        assert_eq!(layer_rows, &[rows], "every row in the set");
        self.beside = beside_encode.then(|| self.computed('e'));
        assert_eq!(rows, self.computed('d'));
    }

    fn end(&mut self, id: RequestId, outcome: Outcome) {
        self.waiting.remove(&self.aged(id));
        for place in [&mut self.admitted, &mut self.cohort, &mut self.set] {
            place.remove(&id);
        }
        assert_eq!(self.ended.insert(id, outcome), None, "ended twice");
    }

    /// What a step had computed when it panicked is told to nobody.
    fn panicked(&mut self) {
        let untold = self.steps.position(|(kind, _)| *kind == 'p').expect("a panic of the model");
        assert!(untold <= 2, "a layer and a token at the most");
    }

    /// The rows of the model's next step, which is of this kind.
    fn computed(&mut self, kind: char) -> usize {
        let (found, rows) = *self.steps.next().expect("the model did something");
        assert_eq!(found, kind);
        rows
    }

    /// Adds up something of the plans of some requests.
    fn rows(&self, ids: &BTreeSet<RequestId>, of: impl Fn(&Plan) -> usize) -> usize {
        ids.iter().map(|id| of(&self.told[id].plan)).sum()
    }

    fn aged(&self, id: RequestId) -> (Instant, RequestId) {
        let told = &self.told[&id];
        (told.arrived + self.config.aging * told.priority as u32, id)
    }
}
