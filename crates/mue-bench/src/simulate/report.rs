//! What is printed: every simulation, or each setup against the first.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::jobs::Distribution;
use crate::simulation::Load;
use crate::summary::Summary;

/// One simulation and what came of it.
pub(crate) struct Outcome {
    /// The name of the settings.
    pub(crate) setup: String,
    /// Where the requests exited.
    pub(crate) distribution: Distribution,
    /// How they came.
    pub(crate) load: Load,
    /// The numbers.
    pub(crate) summary: Summary,
}

/// One line per simulation.
pub(crate) fn table(out: &mut impl Write, outcomes: &[Outcome]) -> io::Result<()> {
    let rule = "|---".repeat(Summary::HEADINGS.split('|').count());
    writeln!(out, "| exits | load | policy | {} |\n|---|---|---{rule}|", Summary::HEADINGS)?;
    for Outcome { setup, distribution, load, summary } in outcomes {
        writeln!(out, "| {} | {load} | {setup} | {} |", distribution.name(), summary.cells())?;
    }
    Ok(())
}

/// One object per simulation.
pub(crate) fn json(outcomes: &[Outcome]) -> Value {
    let object = |outcome: &Outcome| {
        let mut object = outcome.summary.json();
        object["policy"] = json!(outcome.setup);
        object["exits"] = json!(outcome.distribution.name());
        object["load"] = match outcome.load {
            Load::Open { rate_per_s } => json!({ "rate_per_s": rate_per_s }),
            Load::Saturated { clients } => json!({ "clients": clients }),
        };
        object
    };
    outcomes.iter().map(object).collect()
}

/// How a setup compares with the first one: answers, median and tail of the latency, token gap.
type Ratios = [f64; 4];

/// One line per load and setup: each number's ratio to the first setup's, as the geometric mean
/// over the distributions, those with the most answers first, ties broken by the tail.
pub(crate) fn ranking(out: &mut impl Write, outcomes: &[Outcome]) -> io::Result<()> {
    writeln!(out, "| load | policy | answers/s | p50 | p99 | token gap p99 |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for (load, mut setups) in compare(outcomes) {
        let order = |(_, one): &(_, Ratios), (_, other): &(_, Ratios)| {
            let rounded = |ratio: f64| (ratio * 100.0).round();
            let answers = rounded(other[0]).total_cmp(&rounded(one[0]));
            answers.then(one[2].total_cmp(&other[2]))
        };
        setups.sort_by(order);
        for (setup, [answers, p50, p99, gap]) in setups {
            writeln!(out, "| {load} | {setup} | {answers:.2} | {p50:.2} | {p99:.2} | {gap:.2} |")?;
        }
    }
    Ok(())
}

/// By load, in the order of the outcomes.
fn compare(outcomes: &[Outcome]) -> Vec<(Load, Vec<(&str, Ratios)>)> {
    let mut loads = BTreeMap::<usize, BTreeMap<&str, Vec<Ratios>>>::new();
    for outcome in outcomes {
        let first = outcomes.iter().position(|other| other.load == outcome.load).unwrap_or(0);
        let is_base = |other: &&Outcome| {
            other.load == outcome.load && other.distribution == outcome.distribution
        };
        let base = outcomes.iter().find(is_base).unwrap_or(outcome);
        let (numbers, base) = (numbers(&outcome.summary), numbers(&base.summary));
        let logs = std::array::from_fn(|i| ratio(numbers[i], base[i]).ln());
        let setups = loads.entry(first).or_default();
        setups.entry(&outcome.setup).or_default().push(logs);
    }
    let mean = |logs: Vec<Ratios>| {
        let sum = |i: usize| logs.iter().map(|logs| logs[i]).sum::<f64>();
        std::array::from_fn(|i| (sum(i) / logs.len() as f64).exp())
    };
    let means = |setups: BTreeMap<_, _>| {
        setups.into_iter().map(|(setup, logs)| (setup, mean(logs))).collect()
    };
    loads.into_iter().map(|(first, setups)| (outcomes[first].load, means(setups))).collect()
}

fn numbers(summary: &Summary) -> Ratios {
    let Summary { throughput_per_s, latency_p50_ms, latency_p99_ms, token_gap_p99_ms, .. } =
        *summary;
    [throughput_per_s, latency_p50_ms, latency_p99_ms, token_gap_p99_ms]
}

/// A number in terms of another; one if there is nothing to compare, such as no captions.
fn ratio(number: f64, base: f64) -> f64 {
    if number > 0.0 && base > 0.0 { number / base } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(setup: &str, distribution: Distribution, answers: f64) -> Outcome {
        let summary = Summary {
            throughput_per_s: answers,
            latency_p50_ms: 10.0,
            latency_p99_ms: 20.0,
            token_gap_p99_ms: 0.0,
            cohort_rows_mean: 1.0,
            decode_rows_mean: 1.0,
            idle_share: 0.0,
            refused_share: 0.0,
        };
        let load = Load::Saturated { clients: 9 };
        Outcome { setup: setup.to_owned(), distribution, load, summary }
    }

    #[test]
    fn setups_are_ranked_by_the_geometric_mean_over_distributions() {
        let outcomes = [
            outcome("first", Distribution::Early, 10.0),
            outcome("first", Distribution::Late, 1.0),
            outcome("other", Distribution::Early, 40.0),
            outcome("other", Distribution::Late, 1.0),
        ];
        let mut out = Vec::new();
        ranking(&mut out, &outcomes).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| saturated | other | 2.00 | 1.00 | 1.00 | 1.00 |",
                "| saturated | first | 1.00 | 1.00 | 1.00 | 1.00 |",
            ]
        );
    }

    #[test]
    fn the_table_has_as_many_cells_as_headings() {
        let mut out = Vec::new();
        table(&mut out, &[outcome("first", Distribution::Full, 1.0)]).unwrap();
        let bars = |line: &str| line.matches('|').count();
        let text = String::from_utf8(out).unwrap();
        let counts: Vec<usize> = text.lines().map(bars).collect();
        assert_eq!(counts, [12, 12, 12]);
    }
}
