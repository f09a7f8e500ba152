//! How sure a mean or a ratio of means is, by resampling (Efron and Tibshirani, "An introduction
//! to the bootstrap", 1993, chapter 13: percentile intervals).

use crate::random::Random;
use serde::Serialize;
use thiserror::Error;

/// An estimate with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Of the samples as they are.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A sample measured twice, such as a caption's CIDEr-D with exits and at full depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What is compared.
    pub value: f64,
    /// What it is compared with.
    pub baseline: f64,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BootstrapError {
    /// Nothing to draw from.
    #[error("there are no samples to draw from")]
    NoSamples,
    /// A ratio needs a baseline other than 0.
    #[error("the baseline of the ratio adds up to zero")]
    NoBaseline,
    /// The configuration makes no interval.
    #[error("a bootstrap needs at least one draw and a confidence between 0 and 1")]
    Config,
}

/// How to resample. Same values, same interval, on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times all samples are drawn, with replacement. A thousand or more.
    pub draws: usize,
    /// The share of intervals that hold the truth, both ends together: each end alone is a bound
    /// at confidence `(1 + confidence) / 2`, so 0.9 makes `low` a 95% lower bound.
    pub confidence: f64,
    /// Of the random draws.
    pub seed: u64,
}

impl Bootstrap {
    /// The interval of the mean of `values`.
    ///
    /// # Errors
    /// If there are no values or the configuration makes no interval.
    pub fn mean(&self, values: &[f64]) -> Result<Interval, BootstrapError> {
        let count = values.len() as f64;
        self.interval(values.len(), |places| {
            Some(places.iter().map(|place| values[*place]).sum::<f64>() / count)
        })
    }

    /// The interval of the sum of values divided by the sum of baselines: retention, where values
    /// are scores with exits and baselines those at full depth. Pairs are drawn together, so what
    /// makes a sample hard for both cancels out. A draw whose baselines add up to 0 counts as 0: of few
    /// samples that are hardly ever right, the interval goes down to nothing kept.
    ///
    /// # Errors
    /// If there are no pairs, the baselines add up to 0, or the configuration makes no interval.
    pub fn ratio(&self, pairs: &[Pair]) -> Result<Interval, BootstrapError> {
        self.interval(pairs.len(), |places| ratio(pairs, places))
    }

    /// What the ratio of `count` fresh samples will be at least, on nearly all of many such sets (a
    /// tolerance bound). Where the lower end of an interval is a bound at 95%, so is this one for what
    /// is said of 20 sets: that at most one of them falls below it.
    ///
    /// It is the truth's lower bound, less what a set falls short of the truth by in a third of the cases
    /// that the bound leaves, 1 in 60. If the truth is at its bound, more than one of 20 sets falls below
    /// with a chance of `1 - (1 + 1/3) exp(-1/3)`, 0.045.
    ///
    /// # Errors
    /// As [`Bootstrap::ratio`].
    pub fn fresh_ratio_low(&self, pairs: &[Pair], count: usize) -> Result<f64, BootstrapError> {
        let truth = self.ratio(pairs)?;
        let rarely = Self { confidence: 1.0 - (1.0 - self.confidence) / 3.0, ..*self };
        let fresh =
            rarely.interval_of((pairs.len(), count.max(1)), |places| ratio(pairs, places))?;
        Ok(truth.low - (fresh.estimate - fresh.low))
    }

    /// The interval of the median of values divided by the median of baselines: for clocks, whose
    /// means one pause of the machine can move. The pairs of a group are drawn together.
    ///
    /// # Errors
    /// As [`Bootstrap::ratio`].
    pub fn median_ratio(&self, groups: &[Vec<Pair>]) -> Result<Interval, BootstrapError> {
        self.interval(groups.len(), |places| {
            let median_of = |side: fn(&Pair) -> f64| {
                let drawn = places.iter().flat_map(|place| &groups[*place]);
                median(&mut drawn.map(side).collect::<Vec<_>>())
            };
            let baseline = median_of(|pair| pair.baseline);
            (baseline != 0.0).then(|| median_of(|pair| pair.value) / baseline)
        })
    }

    fn interval(
        &self,
        count: usize,
        statistic: impl Fn(&[usize]) -> Option<f64>,
    ) -> Result<Interval, BootstrapError> {
        self.interval_of((count, count), statistic)
    }

    /// Of some samples, by draws of fewer or more of them.
    fn interval_of(
        &self,
        (count, size): (usize, usize),
        statistic: impl Fn(&[usize]) -> Option<f64>,
    ) -> Result<Interval, BootstrapError> {
        if count == 0 {
            return Err(BootstrapError::NoSamples);
        }
        if self.draws == 0 || !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(BootstrapError::Config);
        }
        let mut places: Vec<usize> = (0..count).collect();
        let estimate = statistic(&places).ok_or(BootstrapError::NoBaseline)?;
        let mut random = Random::new(self.seed);
        places.resize(size, 0);
        let mut drawn = Vec::with_capacity(self.draws);
        for _ in 0..self.draws {
            places.fill_with(|| random.place(count));
            drawn.push(statistic(&places).unwrap_or(0.0));
        }
        drawn.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Ok(Interval { estimate, low: quantile(&drawn, tail), high: quantile(&drawn, 1.0 - tail) })
    }
}

/// The sum of the values at some places by that of the baselines, if that is not 0.
fn ratio(pairs: &[Pair], places: &[usize]) -> Option<f64> {
    let sum = |side: fn(&Pair) -> f64| places.iter().map(|place| side(&pairs[*place])).sum();
    let (value, baseline): (f64, f64) = (sum(|pair| pair.value), sum(|pair| pair.baseline));
    (baseline != 0.0).then(|| value / baseline)
}

/// The middle of some values; 0 of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    if values.is_empty() { 0.0 } else { quantile(values, 0.5) }
}

/// The value below which a share of sorted values lies, interpolated between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { draws: 1_000, confidence: 0.9, seed: 1 };

    fn uniform(random: &mut Random) -> f64 {
        random.place(1_000_001) as f64 / 1e6
    }

    #[test]
    fn quantiles_interpolate() {
        let sorted = [1.0, 2.0, 4.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share));
        assert_eq!(found, [1.0, 1.5, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values = [0.1, 0.9, 0.4, 0.3];
        assert_eq!(BOOTSTRAP.mean(&values), BOOTSTRAP.mean(&values));
        let other = Bootstrap { seed: 2, ..BOOTSTRAP };
        assert_ne!(BOOTSTRAP.mean(&values), other.mean(&values));
    }

    /// The standard error of the mean of n uniform numbers is sqrt(1 / 12 n); 90% lie within 1.645.
    #[test]
    fn a_mean_is_as_wide_as_its_standard_error_says() {
        let mut random = Random::new(3);
        let values: Vec<_> = (0..2_000).map(|_| uniform(&mut random)).collect();
        let interval = BOOTSTRAP.mean(&values).unwrap();
        let expected = 2.0 * 1.645 * (1.0 / (12.0 * 2_000.0_f64)).sqrt();
        let width = interval.high - interval.low;
        assert!((width / expected - 1.0).abs() < 0.1, "{width} against {expected}");
    }

    #[test]
    fn nine_of_ten_intervals_hold_the_truth() {
        let mut random = Random::new(4);
        let held = (0..200)
            .filter(|seed| {
                let values: Vec<_> = (0..60).map(|_| uniform(&mut random)).collect();
                let bootstrap = Bootstrap { draws: 300, seed: *seed, ..BOOTSTRAP };
                let interval = bootstrap.mean(&values).unwrap();
                interval.low <= 0.5 && 0.5 <= interval.high
            })
            .count();
        assert!((168..=192).contains(&held), "{held} of 200");
    }

    /// Pairs that differ by a constant factor have a ratio without any doubt.
    #[test]
    fn a_ratio_draws_pairs_together() {
        let pairs = [1.0, 5.0, 2.0, 9.0].map(|baseline| Pair { value: 0.98 * baseline, baseline });
        let interval = BOOTSTRAP.ratio(&pairs).unwrap();
        for end in [interval.low, interval.estimate, interval.high] {
            assert!((end - 0.98).abs() < 1e-12);
        }
    }

    /// The truth may lie lower than what was measured, and fresh samples lower than the truth.
    #[test]
    fn fresh_samples_fall_short_too() {
        let mut random = Random::new(5);
        let pairs: Vec<_> =
            (0..1_000).map(|_| Pair { value: uniform(&mut random), baseline: 1.0 }).collect();
        let truth = BOOTSTRAP.ratio(&pairs).unwrap();
        let below = |count| truth.estimate - BOOTSTRAP.fresh_ratio_low(&pairs, count).unwrap();
        let alone = truth.estimate - truth.low;
        let [same, more] = [1_000, 4_000].map(|count| below(count) / alone);
        // A normal variable is below -1.645 in 5%, below -2.128 in a third of that.
        let fresh = 2.128 / 1.645;
        assert!((same / (1.0 + fresh) - 1.0).abs() < 0.1, "{same}");
        assert!((more / (1.0 + fresh / 2.0) - 1.0).abs() < 0.1, "{more}");
    }

    #[test]
    fn at_most_one_of_twenty_fresh_samples_falls_below() {
        let mut random = Random::new(6);
        let mut sample = |count: usize| -> Vec<Pair> {
            let right = |_| f64::from(u8::from(random.place(100) < 95));
            (0..count).map(right).map(|value| Pair { value, baseline: 1.0 }).collect()
        };
        let is_kept = |seed: &u64| {
            let bootstrap = Bootstrap { draws: 600, seed: *seed, ..BOOTSTRAP };
            let low = bootstrap.fresh_ratio_low(&sample(1_200), 400).unwrap();
            let mean = |pairs: Vec<Pair>| pairs.iter().map(|pair| pair.value).sum::<f64>() / 400.0;
            (0..20).filter(|_| mean(sample(400)) < low).count() <= 1
        };
        let kept = (0..100).filter(is_kept).count();
        assert!(kept >= 95, "{kept} of 100 calibrations");
    }

    /// One right answer of 24 is in two draws of three alone.
    #[test]
    fn draws_without_a_baseline_make_the_interval_wide() {
        let right = |place| if place == 0 { 1.0 } else { 0.0 };
        let pair = |place| Pair { value: right(place), baseline: right(place) };
        let interval = BOOTSTRAP.ratio(&(0..24).map(pair).collect::<Vec<_>>()).unwrap();
        assert_eq!(interval, Interval { estimate: 1.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn a_pause_does_not_move_a_median() {
        let mut pairs: Vec<_> =
            (0..101).map(|i| Pair { value: 5.0, baseline: 10.0 + f64::from(i % 2) }).collect();
        pairs[7].value = 9_000.0;
        let groups: Vec<_> = pairs.into_iter().map(|pair| vec![pair]).collect();
        let interval = BOOTSTRAP.median_ratio(&groups).unwrap();
        assert_eq!(interval.estimate, 0.5);
        assert!(interval.low > 0.45 && interval.high < 0.51, "{interval:?}");
    }

    #[test]
    fn there_must_be_something_to_draw_from() {
        assert_eq!(BOOTSTRAP.mean(&[]), Err(BootstrapError::NoSamples));
        let pair = Pair { value: 1.0, baseline: 0.0 };
        assert_eq!(BOOTSTRAP.ratio(&[pair]), Err(BootstrapError::NoBaseline));
        let bootstrap = Bootstrap { confidence: 1.0, ..BOOTSTRAP };
        assert_eq!(bootstrap.mean(&[1.0]), Err(BootstrapError::Config));
    }
}
