//! The numbers of one simulation.

use serde_json::{Value, json};

/// What a policy achieved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Answers per second.
    pub(crate) throughput_per_s: f64,
    /// Median time from arrival to answer.
    pub(crate) latency_p50_ms: f64,
    /// Its 99th percentile.
    pub(crate) latency_p99_ms: f64,
    /// 99th percentile of the time between two tokens of a caption.
    pub(crate) token_gap_p99_ms: f64,
    /// Rows that began to encode together.
    pub(crate) cohort_rows_mean: f64,
    /// Rows of a decode step.
    pub(crate) decode_rows_mean: f64,
    /// Share of the time without a step.
    pub(crate) idle_share: f64,
    /// Share of the requests that a full queue turned away.
    pub(crate) refused_share: f64,
}

impl Summary {
    /// Every number under its name.
    pub(crate) fn json(&self) -> Value {
        json!({
            "throughput_per_s": self.throughput_per_s,
            "latency_p50_ms": self.latency_p50_ms,
            "latency_p99_ms": self.latency_p99_ms,
            "token_gap_p99_ms": self.token_gap_p99_ms,
            "cohort_rows_mean": self.cohort_rows_mean,
            "decode_rows_mean": self.decode_rows_mean,
            "idle_share": self.idle_share,
            "refused_share": self.refused_share,
        })
    }

    /// The headings of [`cells`](Self::cells).
    pub(crate) const HEADINGS: &str = "answers/s | p50 ms | p99 ms | token gap p99 ms \
        | cohort rows | decode rows | idle | refused";

    /// Every number as cells of a Markdown table.
    pub(crate) fn cells(&self) -> String {
        format!(
            "{:.1} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0}% | {:.0}%",
            self.throughput_per_s,
            self.latency_p50_ms,
            self.latency_p99_ms,
            self.token_gap_p99_ms,
            self.cohort_rows_mean,
            self.decode_rows_mean,
            self.idle_share * 100.0,
            self.refused_share * 100.0,
        )
    }
}
