//! The threads that talk HTTP.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// Half as many as there are cores: talking is little work beside computing, and where all cores
/// compute, each of these threads that wakes takes one of them from the model.
pub(crate) fn server_runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()
}
