//! The resident memory of this process.

use serde::Serialize;

/// Resident bytes of the process that holds server and client, over a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Before it.
    pub bytes_start: u64,
    /// When everything was answered.
    pub bytes_end: u64,
    /// The most that was seen.
    pub bytes_peak: u64,
}

impl Memory {
    /// At the start of a load; `None` where the system does not tell.
    pub(super) fn start() -> Option<Self> {
        let bytes = resident_bytes()?;
        Some(Self { bytes_start: bytes, bytes_end: bytes, bytes_peak: bytes })
    }

    /// Looks again.
    pub(super) fn look(&mut self) {
        if let Some(bytes) = resident_bytes() {
            self.bytes_end = bytes;
            self.bytes_peak = self.bytes_peak.max(bytes);
        }
    }
}

/// `VmRSS` of `/proc/self/status`, which only Linux has.
fn resident_bytes() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        assert_eq!(parse("Name:\tmue\nVmRSS:\t   20480 kB\nThreads:\t3\n"), Some(20 << 20));
        assert_eq!(parse("Name:\tmue\n"), None);
    }
}
