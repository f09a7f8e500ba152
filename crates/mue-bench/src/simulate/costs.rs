//! What a step takes: straight lines in the rows that it computes.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

/// Microseconds of one layer, or of the stem: a base, and as much again for each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// Paid once, however many rows there are, but not without rows.
    pub(crate) base_us: f64,
    /// Paid for every row.
    pub(crate) per_row_us: f64,
}

impl Line {
    /// The time for so many rows.
    pub(crate) fn time(self, rows: usize) -> Duration {
        if rows == 0 {
            return Duration::ZERO;
        }
        microseconds(self.base_us + self.per_row_us * rows as f64)
    }
}

impl FromStr for Line {
    type Err = anyhow::Error;

    /// Reads `BASE+PER_ROW`, such as `300+36`.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (base, per_row) = text.split_once('+').context("expected BASE+PER_ROW")?;
        Ok(Self { base_us: microseconds_of(base)?, per_row_us: microseconds_of(per_row)? })
    }
}

/// The cost model: microseconds, as BASE+PER_ROW.
///
/// The defaults are the demo model's (6+6 layers of width 128, 36 image tokens, 96 pixels), rounded
/// from the shortest times of random weights of that size on the flex backend, on two busy cores.
/// They are a shape to compare policies under, not a promise of speed.
#[derive(Args, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    /// Beginning a cohort: the stem of its pictures
    #[arg(long, value_name = "US", default_value = "500+5500")]
    pub(crate) stem: Line,
    /// An encoder layer over pictures
    #[arg(long, value_name = "US", default_value = "600+560")]
    pub(crate) image_layer: Line,
    /// An encoder layer over texts
    #[arg(long, value_name = "US", default_value = "400+235")]
    pub(crate) text_layer: Line,
    /// A decoder layer over one token of every caption (or beam)
    #[arg(long, value_name = "US", default_value = "300+36")]
    pub(crate) decoder_layer: Line,
    /// A decoder layer over the prefixes of entailments
    #[arg(long, value_name = "US", default_value = "700+390")]
    pub(crate) answer_layer: Line,
    /// Microseconds when a caption first reaches a decoder layer: its source's keys and values
    #[arg(long, value_name = "US", default_value = "25", value_parser = microseconds_of)]
    pub(crate) first_reach_us: f64,
}

fn microseconds_of(text: &str) -> anyhow::Result<f64> {
    let time_us: f64 = text.trim().parse().context("not a number of microseconds")?;
    // A quarter of an hour; the clock itself ends after five centuries.
    anyhow::ensure!((0.0..=1e9).contains(&time_us), "{time_us} microseconds are out of range");
    Ok(time_us)
}

/// Rounded to whole nanoseconds, so that sums of times are exact.
pub(crate) fn microseconds(time_us: f64) -> Duration {
    Duration::from_nanos((time_us * 1e3).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rows_cost_nothing_and_rows_cost_a_line() {
        let line: Line = "300+36".parse().unwrap();
        assert_eq!(line.time(0), Duration::ZERO);
        assert_eq!(line.time(10), Duration::from_micros(660));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["300", "300+", "-1+2", "NaN+1", "1+inf"] {
            assert!(text.parse::<Line>().is_err(), "{text}");
        }
    }
}
