//! Serves captions and visual entailment over HTTP.
//!
//! [`App`] is what requests share, [`router`] the table of routes, [`run`] the life of a server on a
//! listener. A route's handler and its wire types live in one file. A request goes through
//! admission, its body, what it has fetched, a permit of the batcher for all its rows, the pictures, the
//! queue, and the model; whatever goes wrong on the way is a problem (RFC 9457) with a stable code.
//! [`openapi`] is the contract of all that.

mod admit;
mod answer;
mod answering;
mod app;
mod auth;
mod bodies;
mod body;
mod caption;
mod config;
mod connections;
mod contract;
mod cors;
mod docs;
mod drain;
mod entailment;
mod exit_rules;
mod fetch;
mod front;
mod health;
mod json;
mod leftover;
mod metrics;
mod models;
mod multipart;
mod options;
mod picture;
mod places;
mod playground;
mod pool;
mod problem;
mod rate_limit;
mod reload;
mod request_id;
mod request_log;
mod run;
mod serving;
#[cfg(feature = "otlp")]
mod spans;
mod stream;
mod tls;

pub use app::{App, router};
pub use auth::{ApiKey, Digest, DigestError};
pub use config::{Config, ConfigError, LogFormat};
pub use connections::Listener;
pub use contract::openapi;
pub use fetch::HostRuleError;
pub use metrics::Metrics;
pub use reload::{LoadError, Loaded, Reloaded};
pub use request_log::PERIODIC_TARGET;
pub use run::{Server, run};
pub use tls::{Tls, TlsError};
