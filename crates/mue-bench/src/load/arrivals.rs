//! When requests arrive.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// The arrivals of a Poisson process of `rate` per second, in their order and without an end.
///
/// The gaps between them are exponentially distributed: users know nothing of each other. The same
/// seed gives the same arrivals on every machine.
pub fn arrivals(rate: f64, seed: u64) -> impl Iterator<Item = Duration> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut due_s = 0.0;
    std::iter::repeat_with(move || {
        let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        due_s -= (1.0 - unit).ln() / rate;
        // At no rate they never come.
        Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX)
    })
}

/// Those within `span`.
pub fn poisson(rate: f64, span: Duration, seed: u64) -> Vec<Duration> {
    arrivals(rate, seed).take_while(|due| *due < span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let arrivals = poisson(50.0, Duration::from_secs(400), 1);
        let count = arrivals.len() as f64;
        assert!((count - 20_000.0).abs() < 4.0 * 20_000_f64.sqrt(), "{count}");
        assert!(arrivals.is_sorted());
        // Counts per second have a variance equal to their mean; evenly spaced ones would have none.
        let mut counts = [0.0; 400];
        arrivals.iter().for_each(|due| counts[due.as_secs() as usize] += 1.0);
        let variance = counts.iter().map(|n| (n - 50.0_f64).powi(2)).sum::<f64>() / 400.0;
        assert!((35.0..65.0).contains(&variance), "{variance}");
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_and_another_gives_others() {
        let arrivals = |seed| poisson(100.0, Duration::from_secs(2), seed);
        assert_eq!(arrivals(7), arrivals(7));
        assert_ne!(arrivals(7), arrivals(8));
    }

    #[test]
    fn nothing_arrives_at_no_rate() {
        assert!(poisson(0.0, Duration::from_secs(2), 1).is_empty());
    }
}
