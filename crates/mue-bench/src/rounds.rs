//! What stages took, round by round.

use std::collections::BTreeMap;
use std::fmt;

use mue_bench::load::nearest_rank;

/// Milliseconds of a stage's runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
}

impl Summary {
    /// None of nothing.
    pub(crate) fn of(mut times_ms: Vec<f64>) -> Option<Self> {
        times_ms.sort_by(f64::total_cmp);
        Some(Self { median: nearest_rank(&times_ms, 0.5)?, least: *times_ms.first()? })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ({:.1})", self.median, self.least)
    }
}

/// By stage, what each round took.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<String, Vec<Summary>>);

impl Rounds {
    pub(crate) fn add(&mut self, stage: &str, round: Summary) {
        self.0.entry(stage.to_owned()).or_default().push(round);
    }

    pub(crate) fn stages(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Of all rounds: the median of their medians, the least of all runs.
    pub(crate) fn summary(&self, stage: &str) -> Option<Summary> {
        let rounds = self.0.get(stage)?;
        let of = |side: fn(&Summary) -> f64| Summary::of(rounds.iter().map(side).collect());
        let median = of(|round| round.median)?.median;
        Some(Summary { median, least: of(|round| round.least)?.least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_have_a_median_and_a_minimum_of_their_own() {
        let mut rounds = Rounds::default();
        for (median, least) in [(5.0, 3.0), (4.5, 4.0), (6.0, 2.0)] {
            rounds.add("stem", Summary { median, least });
        }
        assert_eq!(rounds.summary("stem"), Some(Summary { median: 5.0, least: 2.0 }));
        assert_eq!(rounds.summary("encode"), None);
        assert_eq!(Summary::of(vec![3.0, 1.0, 2.0]), Some(Summary { median: 2.0, least: 1.0 }));
    }
}
