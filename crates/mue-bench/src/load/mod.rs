//! An open-loop load generator for the HTTP service, and what it finds.
//!
//! **Open loop**: when requests arrive is drawn beforehand ([`poisson`]), and each is sent at its time
//! whatever became of the others. **Latency is counted from the time a request was due**, not from
//! when it was sent, so a generator that falls behind shows as latency and is not left out
//! (coordinated omission); how late requests were sent is reported besides.
//!
//! The client is bounded: at most `in_flight_max` requests, each on a connection of its own, are under
//! way. One that is due beyond that is not sent, and is counted as `unsent`.
//!
//! Three loads: [`curve`] finds throughput and latency by rate and exit setting, [`overhead`] what
//! the service adds to the engine's own time, [`overload`] what happens at many times the capacity.

mod answer;
mod arrivals;
mod client;
mod closed_loop;
mod corpus;
mod cpu;
mod curve;
mod exits;
mod flood;
mod layers;
mod memory;
mod open_loop;
mod overhead;
mod overload;
mod percentiles;
mod point;
mod probe;
mod report;
mod request;
mod share;
mod sockets;
mod targets;

pub use answer::Answer;
pub use arrivals::{arrivals, poisson};
pub use client::{Client, ClientError, ServerInfo};
pub use corpus::{Corpus, CorpusError, Requests};
pub use curve::{Curve, LoadError, Plan, Rates, Saturation, curve};
pub use exits::{ExitSetting, UnknownExit};
pub use layers::{BranchLayers, Layers};
pub use memory::{Memory, peak_bytes};
pub use overhead::{Overhead, overhead};
pub use overload::{Overload, OverloadPlan, overload};
pub use percentiles::{Percentiles, nearest_rank};
pub use point::{Point, Stages};
pub use probe::Health;
pub use report::{PlotError, Report, Setup, html};
pub use request::{Ask, Outcome, Sent};
pub use share::is_of_share;
pub use sockets::in_flight_within;
pub use targets::Target;
