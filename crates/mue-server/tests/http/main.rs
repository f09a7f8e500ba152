//! The server as its clients see it, on a random tiny model.

#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions

mod access;
mod answers;
mod connections;
mod contract;
#[allow(dead_code)] // the engine's own tests use more of it
#[path = "../../../mue-engine/tests/engine/folder.rs"]
mod folder;
mod forms;
mod hangups;
mod lifecycle;
mod limits;
mod playground;
mod problems;
mod refusals;
mod reloads;
mod server;
mod socket;
mod streams;
mod tls;
mod urls;
