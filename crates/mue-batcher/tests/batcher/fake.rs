//! A model that does as each request's plan says, and a world that watches what it computes.

use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mue_batcher::{BatchModel, DecodeReport, EncodeReport, RequestId, Rows};

use crate::plan::{Plan, Trouble};

/// A request; the world counts those that still exist in any form, and cohorts.
pub(crate) struct Input {
    pub(crate) key: usize,
    pub(crate) plan: Plan,
    pub(crate) _alive: Arc<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure;

/// What is true outside the batcher.
pub(crate) struct World {
    pub(crate) now: Instant,
    /// When the step under way began.
    pub(crate) began: Instant,
    pub(crate) step: Duration,
    /// When nobody waits for a request any more: its deadline, or the moment it was cancelled.
    pub(crate) ends: HashMap<usize, Instant>,
    /// Layers and tokens computed for each request.
    pub(crate) computed: HashMap<usize, (usize, usize)>,
    /// Requests that were said to stream.
    pub(crate) streaming: HashSet<usize>,
    /// Rows of each step, by kind: `b`egin, `e`ncode, `d`ecode; and `p`anics, of no rows.
    pub(crate) steps: Vec<(char, usize)>,
    /// What a step should not have computed.
    pub(crate) wrongs: Vec<String>,
    pub(crate) builds_to_fail: u32,
    pub(crate) models: usize,
    pub(crate) alive: Arc<()>,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(World {
            now,
            began: now,
            step: Duration::from_millis(1),
            ends: HashMap::new(),
            computed: HashMap::new(),
            streaming: HashSet::new(),
            steps: Vec::new(),
            wrongs: Vec::new(),
            builds_to_fail: 0,
            models: 0,
            alive: Arc::new(()),
        })))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("assertions fail outside the lock")
    }

    pub(crate) fn now(&self) -> Instant {
        self.world().now
    }

    pub(crate) fn model(&self) -> Result<Fake, mue_batcher::BuildError> {
        let mut world = self.world();
        if world.builds_to_fail > 0 {
            world.builds_to_fail -= 1;
            return Err("no such weights".into());
        }
        world.models += 1;
        drop(world);
        Ok(Fake { shared: self.clone(), misreported: Vec::new() })
    }

    /// Takes the time of a step.
    fn begin(&self) {
        let mut world = self.world();
        world.began = world.now;
        let step = world.step;
        world.now += step;
    }

    /// Notes part of a step, and checks that every request in it is waited for.
    fn step(&self, kind: char, places: &[Place]) -> usize {
        let mut world = self.world();
        let rows = places.iter().map(|place| place.rows(kind)).sum();
        let late: Vec<usize> = places
            .iter()
            .map(|place| place.input.key)
            .filter(|key| world.ends.get(key).is_some_and(|end| *end <= world.began))
            .collect();
        world.steps.push((kind, rows));
        for place in places {
            let computed = world.computed.entry(place.input.key).or_default();
            *computed = (place.layers, place.tokens);
        }
        if !late.is_empty() || rows == 0 {
            // Not a panic: the batcher would survive it.
            world.wrongs.push(format!("step {kind} of {rows} rows, nobody waits for {late:?}"));
        }
        rows
    }
}

pub(crate) struct Fake {
    shared: Shared,
    /// All there ever were of them.
    misreported: Vec<RequestId>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.world().models -= 1;
    }
}

/// A request in the model's hands.
pub(crate) struct Place {
    id: RequestId,
    input: Input,
    layers: usize,
    tokens: usize,
}

impl Place {
    fn rows(&self, kind: char) -> usize {
        let Rows { encode, decode } = self.input.plan.rows;
        if kind == 'd' { decode } else { encode }
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.input.plan.trouble == trouble
    }
}

pub(crate) struct Cohort {
    layer: usize,
    places: Vec<Place>,
    _alive: Arc<()>,
}

impl BatchModel for Fake {
    type Input = Input;
    type Output = usize;
    type Event = usize;
    type Error = Failure;
    type Cohort = Cohort;
    type Encoded = Place;
    type DecodeSet = Vec<Place>;

    fn rows(input: &Input) -> Rows {
        input.plan.rows
    }

    fn begin_encode(
        &mut self,
        inputs: Vec<(RequestId, Input)>,
    ) -> (Cohort, Vec<(RequestId, Failure)>) {
        let mut places: Vec<Place> = inputs
            .into_iter()
            .map(|(id, input)| Place { id, input, layers: 0, tokens: 0 })
            .collect();
        self.shared.begin();
        self.shared.step('b', &places);
        self.panic_if(&places, |_| Trouble::PanicAtBegin);
        let misreported = places.iter().filter(|place| place.has(Trouble::Misreported));
        self.misreported.extend(misreported.map(|place| place.id));
        let failed = fail_if(&mut places, |_| Trouble::FailAtBegin);
        let alive = Arc::clone(&self.shared.world().alive);
        (Cohort { layer: 0, places, _alive: alive }, failed)
    }

    fn encode(&mut self, cohort: &mut Cohort) -> EncodeReport<Self> {
        self.shared.begin();
        self.layer(cohort)
    }

    fn retain_encode(&mut self, cohort: &mut Cohort, keep: &dyn Fn(RequestId) -> bool) {
        self.retain(&mut cohort.places, keep);
    }

    fn begin_decode(&mut self) -> Vec<Place> {
        Vec::new()
    }

    fn join(
        &mut self,
        set: &mut Vec<Place>,
        encoded: Vec<(RequestId, Place)>,
        streams: &dyn Fn(RequestId) -> bool,
    ) {
        for (id, place) in encoded {
            if streams(id) {
                self.shared.world().streaming.insert(place.input.key);
            }
            set.push(place);
        }
    }

    fn decode(&mut self, set: &mut Vec<Place>) -> DecodeReport<Self> {
        self.shared.begin();
        self.token(set)
    }

    fn encode_and_decode(
        &mut self,
        cohort: &mut Cohort,
        set: &mut Vec<Place>,
    ) -> (EncodeReport<Self>, DecodeReport<Self>) {
        self.shared.begin();
        (self.layer(cohort), self.token(set))
    }

    fn retain_decode(&mut self, set: &mut Vec<Place>, keep: &dyn Fn(RequestId) -> bool) {
        self.retain(set, keep);
    }
}

impl Fake {
    fn layer(&self, cohort: &mut Cohort) -> EncodeReport<Self> {
        let elsewhere = self.elsewhere(&cohort.places);
        cohort.layer += 1;
        cohort.places.iter_mut().for_each(|place| place.layers += 1);
        let rows = self.shared.step('e', &cohort.places);
        self.panic_if(&cohort.places, |place| Trouble::PanicAtLayer(place.layers));
        let mut failed = fail_if(&mut cohort.places, |place| Trouble::FailAtLayer(place.layers));
        failed.extend(elsewhere.into_iter().map(|id| (id, Failure)));
        let ready = cohort.places.extract_if(.., |place| place.layers == place.input.plan.layers);
        let ready = ready.map(|place| (place.id, place)).collect();
        EncodeReport { layer: cohort.layer, rows, ready, failed }
    }

    fn token(&self, set: &mut Vec<Place>) -> DecodeReport<Self> {
        let elsewhere = self.elsewhere(set);
        set.iter_mut().for_each(|place| place.tokens += 1);
        let rows = self.shared.step('d', set);
        self.panic_if(set, |place| Trouble::PanicAtToken(place.tokens));
        let mut failed = fail_if(set, |place| Trouble::FailAtToken(place.tokens));
        let mut events: Vec<_> = set.iter().map(|place| (place.id, place.tokens)).collect();
        let finished = set.extract_if(.., |place| place.tokens == place.input.plan.tokens);
        let mut finished: Vec<_> = finished.map(|place| (place.id, place.input.key)).collect();
        for id in elsewhere {
            events.push((id, usize::MAX));
            failed.push((id, Failure));
            finished.push((id, usize::MAX));
        }
        DecodeReport { layer_rows: vec![rows], events, finished, failed }
    }

    /// Misreported requests that are not here.
    fn elsewhere(&self, places: &[Place]) -> Vec<RequestId> {
        let is_here = |id: &RequestId| places.iter().any(|place| place.id == *id);
        self.misreported.iter().copied().filter(|id| !is_here(id)).collect()
    }

    fn retain(&self, places: &mut Vec<Place>, keep: &dyn Fn(RequestId) -> bool) {
        self.panic_if(places, |_| Trouble::PanicAtRetain);
        places.retain(|place| keep(place.id));
    }

    /// Panics without the hook, whose message would be noise.
    fn panic_if(&self, places: &[Place], trouble: impl Fn(&Place) -> Trouble) {
        if places.iter().any(|place| place.has(trouble(place))) {
            self.shared.world().steps.push(('p', 0));
            resume_unwind(Box::new("out of cheese".to_owned()));
        }
    }
}

fn fail_if(
    places: &mut Vec<Place>,
    trouble: impl Fn(&Place) -> Trouble,
) -> Vec<(RequestId, Failure)> {
    places.extract_if(.., |place| place.has(trouble(place))).map(|p| (p.id, Failure)).collect()
}
