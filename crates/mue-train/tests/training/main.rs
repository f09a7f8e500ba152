//! Little models trained for a few steps.

#![allow(clippy::unwrap_used)]

mod files;
mod resume;
mod toy;
