//! How many sockets this process may hold.

/// Files and sockets that everything but the load needs.
const OTHERS: u64 = 256;

/// The requests that can be under way at once, at most `wanted`, with `sockets_each` open sockets for
/// each of them (two where the server is in this process). Raises the soft limit of open files as far
/// as the hard limit lets it, since a server without sockets would stop accepting.
pub fn in_flight_within(wanted: usize, sockets_each: u64) -> usize {
    let needed = (wanted as u64).saturating_mul(sockets_each).saturating_add(OTHERS);
    // Unknown limits: what is wanted may work, and a refusal is counted as a failure.
    let limit = rlimit::increase_nofile_limit(needed).unwrap_or(needed);
    let places = limit.saturating_sub(OTHERS) / sockets_each.max(1);
    wanted.min(usize::try_from(places).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_bounds_the_requests() {
        assert_eq!(in_flight_within(8, 2), 8);
        assert!(in_flight_within(usize::MAX, 2) < usize::MAX / 2);
    }
}
