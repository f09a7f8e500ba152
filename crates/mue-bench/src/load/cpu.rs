//! What this thread costs.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Ticks per second of the times that Linux shows, on every architecture (`USER_HZ`).
const TICKS_PER_S: u32 = 100;

/// Time that this thread has computed so far, if the runtime that this is called in has no other;
/// `None` too where the system does not tell.
pub(super) fn runtime_time() -> Option<Duration> {
    let alone = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
    alone
        .then(|| std::fs::read_to_string("/proc/thread-self/stat").ok())?
        .and_then(|text| parse(&text))
}

/// The 14th and the 15th field; the second is a name in brackets, which may have anything in it.
fn parse(stat: &str) -> Option<Duration> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ').skip(11).map(str::parse::<u32>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_secs(1) * ticks / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_whatever_the_thread_is_called() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 2 0 0 0 150 25 0 0 20 0 1 0 1 1 1\n";
        assert_eq!(parse(stat), Some(Duration::from_millis(1750)));
        assert_eq!(parse("7 (a) R 1"), None);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_has_a_time() {
        assert_eq!(runtime_time().is_some(), cfg!(target_os = "linux"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_runtime_of_several_threads_has_none() {
        assert_eq!(runtime_time(), None);
    }
}
