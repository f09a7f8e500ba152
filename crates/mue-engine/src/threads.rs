//! How many threads compute on the CPU.

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
/// are done, which for small ones takes longer than the work.
pub(crate) fn compute<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
