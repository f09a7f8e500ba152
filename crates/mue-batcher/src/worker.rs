//! The worker: one model step after another.

mod leave;
mod plan;
mod steps;

use std::sync::Arc;
use std::time::Instant;

use self::plan::Plan;
use crate::config::{Config, ConfigError};
use crate::handle::Handle;
use crate::inbox::{Closed, Shared};
use crate::live::Live;
use crate::machine::{BuildError, Machine};
use crate::model::BatchModel;
use crate::observer::Observer;
use crate::policy::Streaks;

/// Makes a batcher: the callers' end and the worker's.
///
/// The factory makes the model on the worker's first turn, and again after a panic. While it fails,
/// it is tried [`Config::build_attempts_max`] times in a row, [`Config::build_wait`] apart, with the
/// requests kept waiting; then everything is refused with `ModelUnavailable` and the worker ends.
///
/// # Errors
///
/// If the settings make no sense.
pub fn pair<M: BatchModel>(
    config: Config,
    factory: impl FnMut() -> Result<M, BuildError> + Send + 'static,
    observer: Arc<dyn Observer>,
) -> Result<(Handle<M>, Worker<M>), ConfigError> {
    config.validate()?;
    let shared = Arc::new(Shared::new(config, observer));
    let worker = Worker {
        shared: Arc::clone(&shared),
        machine: Machine::new(Box::new(factory)),
        live: Live::new(),
        streaks: Streaks::default(),
        left_rows: 0,
    };
    Ok((Handle::new(shared), worker))
}

/// The model's end of a batcher. Dropping it refuses whatever is unanswered.
pub struct Worker<M: BatchModel> {
    shared: Arc<Shared<M>>,
    machine: Machine<M>,
    live: Live<M>,
    streaks: Streaks,
    /// Rows that left since the drain rate was last told.
    left_rows: usize,
}

/// What to do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Take another turn: something was done.
    Again,
    /// Take another turn when something is submitted, cancelled or drained, or at this time.
    Idle {
        /// When to look again in any case.
        until: Option<Instant>,
    },
    /// Nothing will ever be done again.
    Finished,
}

impl<M: BatchModel> Worker<M> {
    /// Takes turns in real time until everything is over.
    pub fn run(mut self) {
        loop {
            match self.turn(&Instant::now) {
                Turn::Again => {}
                Turn::Idle { until } => self.shared.wait(until),
                Turn::Finished => return,
            }
        }
    }

    /// Frees what was cancelled or has expired, then does at most one step of the model. The clock
    /// is read at the beginning, and before and after the step.
    pub fn turn(&mut self, clock: &dyn Fn() -> Instant) -> Turn {
        let now = clock();
        self.free(now);
        let turn = match self.plan(now) {
            Plan::Close => {
                self.close(Closed::ShuttingDown, now);
                Turn::Finished
            }
            Plan::Start(cohort) => self.start(cohort, clock),
            Plan::Encode => self.encode(clock),
            Plan::Decode => self.decode(false, clock),
            Plan::Both => self.decode(true, clock),
            Plan::Build => self.build(clock),
            Plan::Rest(until) => Turn::Idle { until },
        };
        self.publish();
        turn
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    fn publish(&self) {
        let rows = self.live.counts().held_rows;
        self.shared.live_rows.store(rows, std::sync::atomic::Ordering::Relaxed);
    }
}

impl<M: BatchModel> Drop for Worker<M> {
    fn drop(&mut self) {
        // Times do not matter to anybody any more, and there is no clock here.
        let now = Instant::now();
        self.close(Closed::ShuttingDown, now);
        self.publish();
    }
}
