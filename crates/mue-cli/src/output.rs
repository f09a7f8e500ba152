//! Standard output that lets its reader leave early: `mue info | head` ends quietly.

use std::io::{self, StdoutLock, Write};

use crate::error;

/// The reader of standard output has closed the pipe.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct ReaderLeft;

/// Standard output, locked for the life of the process.
///
/// A broken pipe is marked, so that it can be told from one on a network connection.
#[derive(Debug)]
pub(crate) struct Output<W = StdoutLock<'static>>(W);

impl Output {
    pub(crate) fn stdout() -> Self {
        Self(io::stdout().lock())
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

fn mark(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::other(ReaderLeft),
        _ => error,
    }
}

/// Whether a command failed only because nobody reads its output any more.
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.get_ref().is_some_and(|inner| inner.is::<ReaderLeft>()))
}

/// How a command ends that has printed, and that has something to tell beside what it prints: a
/// reader that leaves changes nothing about that.
pub(crate) fn conclude(
    printed: anyhow::Result<()>,
    ending: anyhow::Result<()>,
) -> anyhow::Result<()> {
    match (printed, ending) {
        (Err(error), ending) if reader_left(&error) => ending,
        (Err(error), Err(ending)) => {
            // Both are told, and the exit code is the ending's.
            let _ = error::report(&error);
            Err(ending)
        }
        (printed, ending) => printed.and(ending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_broken_connection() {
        let ours = writeln!(Output(ClosedPipe), "line").unwrap_err();
        assert!(reader_left(&anyhow::Error::new(ours).context("cannot print")));

        let theirs = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(!reader_left(&theirs.into()));
    }

    #[test]
    fn a_reader_that_leaves_changes_nothing_about_the_ending() {
        let left = || anyhow::Error::new(writeln!(Output(ClosedPipe), "line").unwrap_err());
        assert!(conclude(Err(left()), Ok(())).is_ok());
        let broken = anyhow::anyhow!("the promise is not kept");
        let ended = conclude(Err(left()), Err(broken)).unwrap_err();
        assert_eq!(ended.to_string(), "the promise is not kept");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(conclude(Err(full.into()), Ok(())).is_err(), "a full disk is no reader");
    }
}
