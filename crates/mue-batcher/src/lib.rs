//! Queue, admission and continuous batching in front of a model that works in steps.
//!
//! Requests arrive one by one; the machine works on many at once. A request waits in a bounded
//! [queue](Config::queue_rows_max), encodes with its *cohort*, and decodes in the *decode set*
//! beside requests of any age. After every *step* (one encoder layer, one decoded token) rows may
//! leave and join: an answer goes out the moment it is complete, a request whose caller has gone or
//! whose deadline has passed is freed, and newcomers take the places.
//!
//! [`pair`] makes the two ends. A [`Handle`] takes requests from any thread and never blocks. The
//! [`Worker`] owns the model, a [`BatchModel`], and is driven by [`Worker::run`] on a thread of its
//! own or, in tests and simulations, turn by turn under a clock of the caller's.
//!
//! Nothing here knows tensors, HTTP or an async runtime: a [`Ticket`] is a plain future.

mod admission;
mod answer;
mod config;
mod error;
mod handle;
mod inbox;
mod live;
mod machine;
mod model;
mod observer;
mod policy;
mod priority;
mod queue;
mod rate;
mod ticket;
mod worker;

pub use admission::Admission;
pub use answer::{Answer, BatchShare, Timing};
pub use config::{Config, ConfigError};
pub use error::{RequestError, Stage, SubmitError};
pub use handle::{Handle, Load, Permit, Submission};
pub use machine::{BuildError, Panicked};
pub use model::{BatchModel, DecodeReport, EncodeReport, RequestId, Rows};
pub use observer::{CohortStart, DecodeStep, EncodeStep, End, NoObserver, Observer, Outcome};
pub use observer::{Join, QueueDepth};
pub use policy::{Policy, Step, Streaks, View, choose};
pub use priority::Priority;
pub use ticket::Ticket;
pub use worker::{Turn, Worker, pair};
