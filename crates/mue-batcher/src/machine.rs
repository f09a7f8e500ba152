//! The model with everything it holds, behind a wall that its panics do not get through.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::model::{BatchModel, RequestId};

/// Why a model could not be built.
pub type BuildError = Box<dyn Error + Send + Sync>;

pub(crate) type Factory<M> = Box<dyn FnMut() -> Result<M, BuildError> + Send>;

/// A panic that was caught, with its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Panicked(String);

impl From<Box<dyn Any + Send>> for Panicked {
    /// Of what [`catch_unwind`] caught.
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self(match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(text) => (*text).to_owned(),
                Err(_) => "a panic without a message".to_owned(),
            },
        })
    }
}

/// A model that may be down.
///
/// After a panic nothing that the model had touched is used again: it is dropped with its cohort
/// and decode set. That is what makes the unwind safe.
pub(crate) struct Machine<M: BatchModel> {
    factory: Factory<M>,
    running: Option<Running<M>>,
    pub(crate) build_failures: u32,
    /// When to try to build next.
    pub(crate) retry_at: Option<Instant>,
}

/// A model with the requests it holds.
pub(crate) struct Running<M: BatchModel> {
    pub(crate) model: M,
    pub(crate) cohort: Option<M::Cohort>,
    pub(crate) set: M::DecodeSet,
    /// Encoded, and about to join the set.
    pub(crate) ready: Vec<(RequestId, M::Encoded)>,
}

impl<M: BatchModel> Machine<M> {
    pub(crate) fn new(factory: Factory<M>) -> Self {
        Self { factory, running: None, build_failures: 0, retry_at: None }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn build(&mut self) -> Result<(), BuildError> {
        let factory = &mut self.factory;
        let built = catch_unwind(AssertUnwindSafe(|| {
            factory().map(|mut model| {
                let set = model.begin_decode();
                Running { model, cohort: None, set, ready: Vec::new() }
            })
        }));
        match built {
            Ok(running) => self.running = Some(running?),
            Err(payload) => return Err(Panicked::from(payload).into()),
        }
        self.build_failures = 0;
        self.retry_at = None;
        Ok(())
    }

    /// Has the model do something.
    pub(crate) fn call<T>(
        &mut self,
        work: impl FnOnce(&mut Running<M>) -> T,
    ) -> Result<T, Panicked> {
        let running = self.running.as_mut().expect("only a running model holds requests");
        catch_unwind(AssertUnwindSafe(|| work(running))).map_err(|payload| {
            self.stop();
            payload.into()
        })
    }

    /// Drops the model and all it holds.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take();
        // What is dropped may be in any state after a panic. A second one tells nothing new.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(running)));
    }
}
