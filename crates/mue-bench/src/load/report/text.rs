//! The report as text with Markdown tables.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Report;
use crate::load::curve::Curve;
use crate::load::layers::BranchLayers;
use crate::load::overhead::Overhead;
use crate::load::overload::Overload;
use crate::load::percentiles::Percentiles;
use crate::load::point::Point;
use crate::load::targets::Target;

/// Columns of the curve's table, shared with the page.
pub(super) const COLUMNS: [&str; 14] = [
    "exits",
    "rate/s",
    "offered/s",
    "200/s",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "statuses",
    "image",
    "text",
    "decoder",
    "saved",
    "rows",
    "late p99 ms",
];

/// What the columns mean.
pub(super) const LEGEND: &str = "\
Latencies count from when a request was due, and are those of answers with status 200. image, text, \
decoder: mean exit layer, text that of hypotheses; saved: share of full depth's multiply-accumulates; rows: mean rows of a \
decoder step; late: from when a request was due to when it was sent.";

impl Report {
    /// Writes tables that a README can hold.
    ///
    /// # Errors
    ///
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let place = self.setup.url.as_deref().unwrap_or("in this process");
        writeln!(out, "model {}, device {}, {place}", self.server.model, self.server.device)?;
        writeln!(out, "{}\n", self.setup.summary())?;
        if let Some(curve) = &self.curve {
            write_curve(out, curve)?;
        }
        write_overhead(out, &self.overhead)?;
        self.overload.iter().try_for_each(|overload| write_overload(out, overload))
    }
}

fn write_curve(out: &mut dyn Write, curve: &Curve) -> io::Result<()> {
    for found in &curve.saturation {
        writeln!(out, "saturated, exits {}: {:.1} answers/s", found.exit, found.answers_per_s)?;
    }
    if !curve.saturation.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "| {} |\n|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()))?;
    for point in &curve.points {
        writeln!(out, "| {} |", cells(point).join(" | "))?;
    }
    writeln!(out, "\n{LEGEND}")?;
    reasons(curve).iter().try_for_each(|reason| writeln!(out, "{reason}"))
}

/// Why requests were not answered: what was said first of those refused, and of those that failed.
pub(super) fn reasons(curve: &Curve) -> Vec<String> {
    let refused = curve.points.iter().find_map(|point| point.refusal.as_deref());
    let failed = curve.points.iter().find_map(|point| point.failure.as_deref());
    let first = [("refused", refused), ("failed", failed)].into_iter();
    first.filter_map(|(how, why)| Some(format!("first {how}: {}", why?))).collect()
}

/// A row of the curve's table.
pub(super) fn cells(point: &Point) -> [String; COLUMNS.len()] {
    let [p50, p90, p99] = of(point.latency_ms);
    let [_, _, late] = of(point.late_ms);
    let layers = &point.layers;
    let layer = |branch: &BranchLayers| match branch.rows() {
        0 => "-".to_owned(),
        _ => format!("{:.2}", branch.mean()),
    };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    [
        point.exit.clone(),
        format!("{:.1}", point.rate),
        format!("{:.1}", point.offered_per_s),
        format!("{:.1}", point.answered_per_s),
        p50,
        p90,
        p99,
        statuses(&point.statuses, point.failed, point.unsent),
        layer(&layers.image),
        layer(&layers.text),
        layer(&layers.decoder),
        point.saved.map_or("-".to_owned(), |saved| format!("{:.1}%", saved * 100.0)),
        number(point.decode_rows_mean),
        late,
    ]
}

fn of(percentiles: Option<Percentiles>) -> [String; 3] {
    let Some(Percentiles { p50, p90, p99, .. }) = percentiles else {
        return ["-"; 3].map(str::to_owned);
    };
    [p50, p90, p99].map(|value| format!("{value:.1}"))
}

/// Answers by status, and requests that have none.
fn statuses(statuses: &BTreeMap<u16, usize>, failed: usize, unsent: usize) -> String {
    let counted = statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    let others = [("failed", failed), ("unsent", unsent)];
    let others = others.iter().filter(|(_, count)| *count > 0);
    let all: Vec<_> =
        counted.chain(others.map(|(name, count)| format!("{name}: {count}"))).collect();
    all.join(", ")
}

fn write_overhead(out: &mut dyn Write, found: &[Overhead]) -> io::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    writeln!(out, "| exits | requests | time | p50 ms | p90 ms | p99 ms | max ms |")?;
    writeln!(out, "|{}", "---|".repeat(7))?;
    for Overhead { exit, requests, latency_ms, engine_ms, overhead_ms, inside_ms } in found {
        for (name, times) in [
            ("latency", latency_ms),
            ("engine", engine_ms),
            ("overhead", overhead_ms),
            ("of it inside the server", inside_ms),
        ] {
            let Percentiles { p50, p90, p99, max } = times;
            write!(out, "| {exit} | {requests} | {name} ")?;
            writeln!(out, "| {p50:.3} | {p90:.3} | {p99:.3} | {max:.3} |")?;
        }
    }
    writeln!(
        out,
        "\noverhead: latency without the engine's preprocess, encode and decode, request by request"
    )
}

fn write_overload(out: &mut dyn Write, found: &Overload) -> io::Result<()> {
    let Overload { exit, rate, seconds, offered, unsent, .. } = found;
    writeln!(out, "exits {exit}: {offered} requests in {seconds} s, {rate:.1}/s\n")?;
    writeln!(out, "| under overload | asked | found | |\n|{}", "---|".repeat(4))?;
    for Target { name, asked, found, held } in &found.targets {
        let held = if *held { "held" } else { "MISSED" };
        writeln!(out, "| {name} | {asked} | {found} | {held} |")?;
    }
    let ([p50, _, p99], [_, _, late]) = (of(found.latency_ms), of(found.late_ms));
    write!(out, "\nanswers with status 200: p50 {p50} ms, p99 {p99} ms; generator: ")?;
    if let Some(cores) = found.generator_cores {
        write!(out, "{cores:.2} cores, ")?;
    }
    writeln!(out, "sent at most {late} ms late (99 in 100), {unsent} unsent")?;
    match found.complaint() {
        Some(complaint) => writeln!(out, "NOT SOUND: {complaint}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;
    use crate::load::{overhead, overload};

    fn text(report: &Report) -> String {
        let mut text = Vec::new();
        report.write_text(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_table_has_a_row_per_point() {
        let text = text(&report());
        let rows =
            text.lines().filter(|line| line.starts_with("| off") || line.starts_with("| auto"));
        assert_eq!(rows.count(), 4, "{text}");
        assert!(text.contains("saturated, exits auto: 25.5 answers/s"), "{text}");
        let statuses = "200: 2, 429: 1, failed: 1, unsent: 2";
        let cells = ["| off | 20.0 | 6.0 | 1.0 | 400.0 | 800.0 | 800.0 |", statuses, "| 33.3% |"];
        assert!(cells.iter().all(|cells| text.contains(cells)), "{text}");
        for words in ["first refused: status 429 (full)", "first failed: no connection"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_branch_without_rows_has_no_mean_layer() {
        let mut report = report();
        let points = &mut report.curve.as_mut().unwrap().points;
        points.truncate(1);
        assert_eq!(cells(&points[0])[8..11], ["2.00", "3.00", "2.00"]);
        points[0].layers = Default::default();
        assert_eq!(cells(&points[0])[8..11], ["-"; 3]);
    }

    #[test]
    fn overhead_and_overload_are_written_alone() {
        let overhead = vec![overhead::tests::made_up()];
        let mut report = Report { curve: None, overhead, ..report() };
        let written = text(&report);
        assert!(written.contains("| auto | 2 | overhead | 1.000 |"), "{written}");
        assert!(!written.contains("saturated") && !written.contains("capacity"), "{written}");

        report.overhead.clear();
        report.overload.push(overload::tests::made_up());
        let written = text(&report);
        let memory = "| 1 MiB before, 2 at half time, 2 at the end | held |";
        for words in ["96.0/s of 100.0/s, 96.0% | held", "504: 200", "0.25 cores", memory] {
            assert!(written.contains(words), "{written}");
        }
        assert!(!written.contains("MISSED"), "{written}");
        report.overload[0].statuses.insert(500, 1);
        assert!(text(&report).contains("NOT SOUND"));
    }
}
