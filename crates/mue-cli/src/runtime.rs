//! The threads that talk HTTP.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Half as many as there are cores: talking is little work beside computing, and where all cores
/// compute, each of these threads that wakes takes one of them from the model.
pub(crate) fn server_runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()
}

/// How long threads have to end with the server.
const END_MAX: Duration = Duration::from_millis(500);

/// Runs a server to its end. Pictures that are still fetched or decoded then are nobody's any more,
/// and are hardly waited for.
pub(crate) fn run_server<T>(server: impl Future<Output = T>) -> io::Result<T> {
    let runtime = server_runtime()?;
    let ended = runtime.block_on(server);
    runtime.shutdown_timeout(END_MAX);
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_blocks_is_not_waited_for() {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        run_server(async {
            tokio::task::spawn_blocking(move || {
                begin.send(()).unwrap();
                ended.recv()
            });
            begun.recv().unwrap();
        })
        .unwrap();
        assert!(end.send(()).is_ok(), "it blocks still");
    }
}
