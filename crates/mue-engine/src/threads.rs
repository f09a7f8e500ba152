//! The threads that compute on the CPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The threads could not be started, or run already.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ThreadsError(#[from] rayon::ThreadPoolBuildError);

/// Starts the threads of this process that compute on the CPU: so many, or, for 0, as many as
/// `RAYON_NUM_THREADS` says or else as the CPU quota (cgroup) and affinity allow.
///
/// Once per process, before anything computes. The ndarray device multiplies matrices on threads of
/// its own, which `MATMUL_NUM_THREADS` limits.
///
/// # Errors
///
/// If they run already or the system gives none.
pub fn set_threads(threads: usize) -> Result<(), ThreadsError> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?)
}

/// The threads of this process that compute on the CPU.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Computes on the threads of this process that do.
///
/// From any other thread, every operation that divides its work wakes them and sleeps until they
/// are done, which for small ones takes longer than the work. Where they are few, the others stay awake
/// meanwhile: waking one takes as long as many an operation does.
pub(crate) fn compute<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let done = Done::default();
        if threads() <= AWAKE_MAX {
            for _ in 1..threads() {
                let is_done = Arc::clone(&done.0);
                // Nobody waits for it: it may be busy with another computation when this one ends.
                rayon::spawn(move || help(&is_done));
            }
        }
        work()
    })
}

/// Of more threads some would sleep all the same.
const AWAKE_MAX: usize = 4;

/// How long one of them waits for a share of the work before it may sleep. That it does not wait for
/// ever also keeps two computations at once from waiting for each other.
const PATIENCE: Duration = Duration::from_millis(2);

/// Takes shares of whatever is computed, until this computation is done or nothing comes.
fn help(is_done: &AtomicBool) {
    let mut idle = Instant::now();
    while !is_done.load(Ordering::Relaxed) && idle.elapsed() < PATIENCE {
        match rayon::yield_now() {
            Some(rayon::Yield::Executed) => idle = Instant::now(),
            // The system may have something better for this core.
            Some(rayon::Yield::Idle) | None => std::thread::yield_now(),
        }
    }
}

/// Says when a computation is over, even if it panics.
#[derive(Default)]
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panic_is_the_end_of_a_computation() {
        let is_done = Arc::new(AtomicBool::new(false));
        let panicked = catch_unwind(|| {
            let _done = Done(Arc::clone(&is_done));
            panic!("as a model may");
        });
        assert!(panicked.is_err() && is_done.load(Ordering::Relaxed));
        assert!(catch_unwind(|| compute(|| panic!("as a model may"))).is_err());
        assert_eq!(compute(|| 7), 7);
    }

    #[test]
    fn computations_within_computations_end() {
        let count = |depth: usize| (0..depth).map(|_| compute(|| 1)).sum::<usize>();
        let many = || rayon::join(|| compute(|| count(20)), || compute(|| count(20)));
        let all: usize = (0..50).map(|_| compute(many)).map(|(one, other)| one + other).sum();
        assert_eq!(all, 2_000);
    }
}
