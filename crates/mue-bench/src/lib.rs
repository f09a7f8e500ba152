//! Benchmarks. The library loads a running server over HTTP ([`load`]) and knows no engine, and reads
//! settings of the batcher ([`setup`]); the
//! programs beside it (`ofa-speed`, `batch-sim`, `batching`) measure what is below HTTP.

pub mod load;
pub mod setup;
