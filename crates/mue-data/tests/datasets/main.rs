//! Data sets as files: what is read, what is refused, and how pictures are loaded.

#![allow(clippy::panic, clippy::unwrap_used)] // helpers outside `#[test]` functions

mod coco;
mod folder;
mod loader;
mod round_trip;
mod snli_ve;
