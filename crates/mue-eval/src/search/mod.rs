//! What rules would do on the samples of a search, by task.
//!
//! Entailment is one pass, so a table of every static branch depth with the decoder watched tells
//! exactly what any rules would have done ([`table`]). Captions feed their own words back, so
//! their candidates are run ([`captions`]).

mod captions;
mod pareto;
mod rules;
mod table;
mod thresholds;
mod watched;

use mue_data::datasets::Task;
use mue_engine::{Encoding, Engine, ExitRules, Reply};

use crate::{EvalData, EvalError};
pub(crate) use captions::Captions;
pub(crate) use pareto::{frontier, undominated};
pub(crate) use rules::Candidates;
pub(crate) use table::Table;
pub(crate) use thresholds::Sureness;
pub(crate) use watched::Watched;

/// Rules, and what the search found of them.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) rules: ExitRules,
    /// Quality relative to the search's baseline.
    pub(crate) retention: f64,
    /// Mean multiply-accumulates of a request.
    pub(crate) macs: f64,
}

/// Layers of a model, and which branches of a task can leave on their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depths {
    pub(crate) encoder: usize,
    pub(crate) decoder: usize,
    /// Whether the text branch is encoded for each request and leaves on its own.
    pub(crate) text: bool,
    /// Longest caption.
    pub(crate) tokens_max: usize,
}

impl Depths {
    pub(crate) fn of(engine: &Engine, task: Task) -> Self {
        let (config, settings) = (engine.model().config(), engine.model().settings());
        let is_apart = settings.encoding == Encoding::Decomposed;
        Self {
            encoder: config.encoder_layers,
            decoder: config.decoder_layers,
            text: is_apart && task == Task::Entailment,
            tokens_max: settings.search.tokens_max,
        }
    }

    /// Whether there are answers to defer, and images that can go on; a decoder of one layer does not
    /// show what a layer costs.
    fn can_defer(self) -> bool {
        self.text && self.encoder > 1 && self.decoder > 1
    }
}

/// Samples of one task on which rules are tried.
pub(crate) enum Search<'a> {
    Entailment(Table),
    Captions(Captions<'a>),
}

/// Hears how many of how many samples are done.
pub(crate) type Progress<'a> = &'a dyn Fn(usize, usize);

/// On what to search.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) data: &'a EvalData,
    /// The first so many.
    pub(crate) samples: usize,
    pub(crate) progress: Progress<'a>,
}

impl<'a> Search<'a> {
    /// Watches the samples at full depth.
    pub(crate) fn begin(ground: Ground<'a>) -> Result<Self, EvalError> {
        let depths = Depths::of(ground.engine, ground.data.task());
        Ok(match ground.data.task() {
            Task::Entailment => Self::Entailment(Table::build(ground, depths)?),
            Task::Caption => Self::Captions(Captions::begin(ground)?),
        })
    }

    /// What full depth's layers showed.
    pub(crate) fn watched(&self) -> Watched {
        Watched::of(self.replies())
    }

    /// Samples that were answered: those that could not be read or asked about are not among them.
    pub(crate) fn samples(&self) -> usize {
        self.replies().len()
    }

    /// Full depth's.
    fn replies(&self) -> &[Reply] {
        match self {
            Self::Entailment(table) => table.watched(),
            Self::Captions(captions) => captions.watched(),
        }
    }

    /// Full depth's quality, that retention is relative to.
    pub(crate) fn baseline(&self) -> f64 {
        match self {
            Self::Entailment(table) => table.baseline,
            Self::Captions(captions) => captions.baseline,
        }
    }

    /// Compares with another model's full depth instead of this one's.
    pub(crate) fn compare_with(&mut self, quality: f64) {
        match self {
            Self::Entailment(table) => table.baseline = quality,
            Self::Captions(captions) => captions.baseline = quality,
        }
    }

    /// Tries every combination of rules.
    pub(crate) fn all(&mut self, candidates: &Candidates) -> Result<Vec<Trial>, EvalError> {
        match self {
            Self::Entailment(_) => self.trials(candidates, 0.0),
            Self::Captions(captions) => captions.all(candidates),
        }
    }

    /// Tries combinations of rules; those of captions whose image rule alone keeps less than
    /// `floor` are left out.
    pub(crate) fn trials(
        &mut self,
        candidates: &Candidates,
        floor: f64,
    ) -> Result<Vec<Trial>, EvalError> {
        match self {
            Self::Entailment(table) => table
                .trials(candidates)
                .map_err(|source| EvalError::Request { sample: "of the search".into(), source }),
            Self::Captions(captions) => captions.product(candidates, floor),
        }
    }
}
