//! An observer that adds up.

use std::sync::Mutex;
use std::time::Duration;

use mue_engine::batcher::Observer;
use mue_engine::{Branch, CacheUsage, EngineObserver, GatherCost, Gathering, LayerStep};

#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    steps: Vec<LayerStep>,
    gathered: Vec<(Branch, Gathering)>,
    hits: usize,
    cache_bytes_most: usize,
    gather_cost: Option<GatherCost>,
}

impl Watch {
    /// Row-layers computed in a branch.
    pub(crate) fn rows(&self, branch: Branch) -> usize {
        let seen = self.0.lock().unwrap();
        seen.steps.iter().filter(|step| step.branch == branch).map(|step| step.rows).sum()
    }

    /// Row-layers active in a branch.
    pub(crate) fn active(&self, branch: Branch) -> usize {
        let seen = self.0.lock().unwrap();
        seen.steps.iter().filter(|step| step.branch == branch).map(|step| step.active).sum()
    }

    /// What was gathered in a branch.
    pub(crate) fn gathered(&self, branch: Branch) -> Gathering {
        let seen = self.0.lock().unwrap();
        let gathered = seen.gathered.iter().filter(|(other, _)| *other == branch);
        gathered.fold(Gathering::default(), |sum, (_, one)| Gathering {
            moves: sum.moves + one.moves,
            duration: sum.duration + one.duration,
        })
    }

    pub(crate) fn hits(&self) -> usize {
        self.0.lock().unwrap().hits
    }

    pub(crate) fn gather_cost(&self) -> Option<GatherCost> {
        self.0.lock().unwrap().gather_cost
    }

    pub(crate) fn cache_bytes_most(&self) -> usize {
        self.0.lock().unwrap().cache_bytes_most
    }
}

impl Observer for Watch {}

impl EngineObserver for Watch {
    fn warmed_up(&self, _duration: Duration, gather: &GatherCost) {
        self.0.lock().unwrap().gather_cost = Some(*gather);
    }

    fn layer(&self, step: &LayerStep) {
        self.0.lock().unwrap().steps.push(*step);
    }

    fn gathered(&self, branch: Branch, gathering: &Gathering) {
        self.0.lock().unwrap().gathered.push((branch, *gathering));
    }

    fn image_looked_up(&self, hit: bool) {
        self.0.lock().unwrap().hits += usize::from(hit);
    }

    fn image_cache(&self, usage: CacheUsage) {
        let mut seen = self.0.lock().unwrap();
        seen.cache_bytes_most = seen.cache_bytes_most.max(usage.bytes);
    }
}
