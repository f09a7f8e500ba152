//! The batcher in front of a fake model, turn by turn, under a clock that only the tests move.

mod acts;
mod admission;
mod drain;
mod endings;
mod fake;
mod flow;
mod history;
mod plan;
mod recorder;
mod scene;
mod script;
mod thread;
