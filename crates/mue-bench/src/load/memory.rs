//! The resident memory of this process.

use serde::Serialize;

/// How much more memory than at half time may be held at the end: allocators round, and what is
/// under way differs from one look to the next.
const GROWTH_MAX: f64 = 0.05;

/// Resident bytes of the process that holds server and client, over a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Before it.
    pub bytes_start: u64,
    /// At half time, when queue and buffers have long been full.
    pub bytes_mid: u64,
    /// At its end, while it lasts.
    pub bytes_end: u64,
    /// The most that was seen.
    pub bytes_peak: u64,
}

impl Memory {
    /// Of what was seen at even distances; `None` if nothing was.
    pub(super) fn of(bytes: &[u64]) -> Option<Self> {
        Some(Self {
            bytes_start: *bytes.first()?,
            bytes_mid: bytes[bytes.len() / 2],
            bytes_end: *bytes.last()?,
            bytes_peak: *bytes.iter().max()?,
        })
    }

    /// Whether it stayed as it was from half time on.
    pub fn is_flat(&self) -> bool {
        self.bytes_end as f64 <= self.bytes_mid as f64 * (1.0 + GROWTH_MAX)
    }
}

/// What this process has in memory; none where the system does not tell.
pub(super) fn resident_bytes() -> Option<u64> {
    bytes("VmRSS:")
}

/// The most that it ever had.
pub fn peak_bytes() -> Option<u64> {
    bytes("VmHWM:")
}

/// A line of `/proc/self/status`, which only Linux has.
fn bytes(name: &str) -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

fn parse(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        assert_eq!(
            parse("Name:\tmue\nVmRSS:\t   20480 kB\nThreads:\t3\n", "VmRSS:"),
            Some(20 << 20)
        );
        assert_eq!(parse("Name:\tmue\n", "VmRSS:"), None);
    }

    #[test]
    fn memory_is_flat_if_it_grows_no_more_after_half_time() {
        let flat = Memory::of(&[100, 150, 200, 260, 204]).unwrap();
        assert_eq!((flat.bytes_start, flat.bytes_mid, flat.bytes_end), (100, 200, 204));
        assert_eq!((flat.bytes_peak, flat.is_flat()), (260, true));
        assert!(!Memory::of(&[100, 200, 220]).unwrap().is_flat());
        assert_eq!(Memory::of(&[]), None);
    }
}
