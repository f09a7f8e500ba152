//! Scenes seen from outside: that they never change, that their sentences are right, and that
//! sentences alone do not give their labels away.

#![allow(clippy::panic, clippy::unwrap_used, clippy::print_stdout)] // helpers outside `#[test]` functions

mod balance;
mod checksums;
mod reference;
mod texts;
mod words;
