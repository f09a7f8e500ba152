//! Little models trained for a few steps.

#![allow(clippy::unwrap_used)]

mod ablations;
mod files;
mod resume;
mod self_critical;
mod toy;
