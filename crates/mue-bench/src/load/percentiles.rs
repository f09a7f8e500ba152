//! Percentiles of measured times.

use serde::Serialize;

/// Milliseconds that 50, 90 and 99 of 100 measurements do not exceed, and the longest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    /// By nearest rank: each is one of the measurements. `None` if there are none.
    pub fn of(mut values_ms: Vec<f64>) -> Option<Self> {
        values_ms.sort_by(f64::total_cmp);
        let at = |share| nearest_rank(&values_ms, share);
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, max: at(1.0)? })
    }
}

/// Of sorted values the smallest that a share of them, 0 to 1, does not exceed; `None` of nothing.
pub fn nearest_rank<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let shuffled = (0..100).map(|place| f64::from(place * 37 % 100 + 1)).collect();
        let found = Percentiles::of(shuffled).unwrap();
        assert_eq!(found, Percentiles { p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 });
    }

    #[test]
    fn few_measurements_have_percentiles_and_none_have_none() {
        let one = Percentiles::of(vec![3.0]).unwrap();
        assert_eq!(one, Percentiles { p50: 3.0, p90: 3.0, p99: 3.0, max: 3.0 });
        let three = Percentiles::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((three.p50, three.p90), (2.0, 3.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn the_least_share_of_values_is_the_first_of_them() {
        let ranked = [0.0, 0.5, 0.51, 1.0].map(|share| nearest_rank(&[1, 2], share));
        assert_eq!(ranked, [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(nearest_rank::<u8>(&[], 0.5), None);
    }
}
