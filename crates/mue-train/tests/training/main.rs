//! Little models trained for a few steps.

#![allow(clippy::unwrap_used)]

mod ablations;
mod checkpoints;
mod devices;
mod files;
mod log;
mod loss;
mod resume;
mod self_critical;
mod toy;
