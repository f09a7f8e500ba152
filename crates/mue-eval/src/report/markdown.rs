//! The report as Markdown.

use mue_data::datasets::Task;
use mue_engine::Label;

use super::{Report, Side, TaskReport, TaskResult, kept, percent, spread};
use crate::frontier::{
    GRID_COLUMNS, Row, Rule, cells, columns, grid_cells, percent_of_level, quality, row_name,
};
use crate::{Frontier, Quality, findings};

/// Heads of [`comparison`].
pub(super) const COMPARISON: [&str; 4] = ["", "full depth", "exits", "exits against full depth"];

/// Levels whose rows are in the short table, by task: the headline's, and the paper's.
fn short_levels(task: Task) -> &'static [f64] {
    match task {
        Task::Caption => &[0.99, 0.96],
        Task::Entailment => &[0.99],
    }
}

impl Report {
    /// For people: tables, and of a frontier what they say.
    pub fn markdown(&self) -> String {
        let Self { model, device, data, exits, .. } = self;
        if !self.has_frontier() {
            let tables = self.tasks().map(|(name, _, found)| {
                let table = table(&COMPARISON, &comparison(&found.report));
                format!("\n### {name}, {}\n\n{table}", found.report.counts)
            });
            let tables: String = tables.collect();
            return format!("{model} on {device}, data {data}, exits {exits}\n{tables}");
        }
        let mut text = format!(
            "# Exit rules on one frontier\n\nThe model {model}, {data}. {}, {}, by\n\n\
             ```console\n$ {}\n```\n\n{METHOD}\n\n## In short\n\n{}",
            self.machine,
            self.date,
            self.command,
            self.summary()
        );
        for (name, task, found) in self.tasks() {
            if let Some(frontier) = &found.frontier {
                text += &section((name, task), found, frontier);
            }
        }
        text
    }

    /// A frontier's chief rows.
    fn summary(&self) -> String {
        let heads = ["", "quality", "kept", "layers saved", "MACs saved", "time saved"];
        let mut rows = Vec::new();
        for (name, task, found) in self.tasks() {
            let Some(frontier) = &found.frontier else { continue };
            let mut push = |row: &Row, level: Option<f64>| {
                let level = level.map(|level| format!(", tuned to {}", percent_of_level(level)));
                rows.push(vec![
                    format!("{name}: {}{}", row_name(row), level.unwrap_or_default()),
                    quality(&row.quality).join(", exact "),
                    kept(row.retention),
                    percent(row.layers_saved),
                    spread(row.macs_saved),
                    spread(row.wall_saved),
                ]);
            };
            for rule in [Rule::Full, Rule::Auto] {
                frontier.of_rule(rule).for_each(|row| push(row, None));
            }
            for level in short_levels(task) {
                for rule in [Rule::Static, Rule::Mue, Rule::Any] {
                    frontier.at(rule, *level).into_iter().for_each(|row| push(row, Some(*level)));
                }
            }
        }
        table(&heads, &rows)
    }
}

/// What the figures are.
pub(super) const METHOD: &str = "\
Every row was run on the test samples, beside full depth in one pass. A family's rows are the \
cheapest of its kind that kept a level of quality (\"tuned to\") on the tuning data; captions' \
rules have to be run one by one, so theirs are those of the few cheapest image rules that keep \
enough. MuE's single thresholds are tried where a quarter, half and three quarters of the rows \
exceed them at some layer (of a caption's picture: half). \"Best of all signals\" mixes signals \
between branches and includes the other families. Where unsure answers are deferred, the image \
branch goes on from where it left and the decoder begins anew, and both its passes count. Static truncation runs the same depths for every \
sample. \"Layers saved\" is the paper's measure, mean layers over all layers; a caption's prompt is \
encoded once for each model, so its branch does not count, and layers that a text runs together \
with its picture count once. MACs are multiply-accumulates of a request, the stem included. Time is the median of one \
request at a time through the engine, all rows taking turns on each picture, none of which was \
cached. \"MACs against static\" compares with the cheapest static truncation that keeps as much, \
chosen in hindsight on the test samples themselves. Intervals are 95%, by bootstrap over pictures; \
of what is kept, the low end is that with one picture more that is lost, the high end with one that is gained.";

fn section((name, task): (&str, Task), found: &TaskResult, frontier: &Frontier) -> String {
    let Frontier { tuning_samples, tuned_on, timed_samples, .. } = frontier;
    let counts = found.report.counts;
    let findings: String =
        findings(frontier).into_iter().map(|finding| format!("- {finding}\n")).collect();
    let rows: Vec<Vec<String>> = frontier.rows.iter().map(cells).collect();
    let grid: Vec<Vec<String>> = frontier.static_frontier().map(grid_cells).collect();
    let own = found.report.canonical_cider_d.map_or_else(String::new, |canonical| {
        let share = share_of(found.report.full.quality.main(), canonical);
        format!(
            " The canonical captions themselves score {canonical:.3}; full depth has {share} of it."
        )
    });
    let mut text = format!(
        "\n## {name}\n\n{counts}, {timed_samples} of them timed; tuned on \
         {tuning_samples} of {tuned_on}.{own}\n\n{findings}\n{}\nStatic truncations that no cheaper \
         one matches:\n\n{}",
        table(&columns(task), &rows),
        table(&GRID_COLUMNS, &grid)
    );
    if let Quality::Entailment { families, .. } = &found.report.full.quality
        && !families.is_empty()
    {
        let rows: Vec<Vec<String>> = comparison(&found.report)
            .into_iter()
            .filter(|row| ["accuracy", "answers to"].iter().any(|start| row[0].starts_with(start)))
            .map(|row| row[..3].to_vec())
            .collect();
        let table = table(&["", "full depth", "exits"], &rows);
        text += &format!("\nBy kind of hypothesis and by label:\n\n{table}");
    }
    text
}

/// A Markdown table.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &str| format!("| {cells} |\n");
    let mut table = line(&heads.join(" | "));
    table += &format!("|{}\n", "---|".repeat(heads.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        table += &line(&cells.join(" | "));
    }
    table
}

/// Full depth beside exits: a name, both sides, and how they compare.
pub(super) fn comparison(report: &TaskReport) -> Vec<Vec<String>> {
    let TaskReport { full, exit, intervals, .. } = report;
    let mut rows = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Side) -> String, compared: String| {
        rows.push(vec![name.to_owned(), cell(full), cell(exit), compared]);
    };
    let share = |interval, what: &str| format!("{} {what}", spread(interval));
    let promised = |low| format!(", {:.2}% promised", 100.0 * low);
    let promised = report.promised.map(promised).unwrap_or_default();
    let kept = intervals.retention.map(|it| share(it, "kept") + &promised);
    let kept = kept.unwrap_or_else(|| "nothing to keep".into());
    match &full.quality {
        Quality::Entailment { families, .. } => {
            row("accuracy", &|side| format!("{:.4}", side.quality.main()), kept);
            for family in families.keys() {
                row(&format!("accuracy, {family}"), &|side| of_family(side, family), String::new());
            }
            for label in Label::ALL {
                let name = format!("answers to {}: {ANSWERS}", label.name());
                row(&name, &|side| answered(side, label), String::new());
            }
        }
        Quality::Caption { .. } => {
            row("CIDEr-D", &|side| format!("{:.3}", side.quality.main()), kept);
            if let Some(canonical) = report.canonical_cider_d {
                let share = |side: &Side| share_of(side.quality.main(), canonical);
                let name = format!("of the canonical captions' own {canonical:.3}");
                row(&name, &share, String::new());
            }
            row("exact match", &exact_match, String::new());
            row("BLEU-1 / 2 / 3 / 4", &bleu, String::new());
            row("ROUGE-L / CIDEr", &rouge_l_and_cider, String::new());
        }
    }
    let layers = |side: &Side| side.layers.map(|layers| format!("{layers:.2}")).join(" / ");
    let layers_saved = format!("{} saved", percent(report.layers_saved));
    row("layers, image / text / decoder", &layers, layers_saved);
    let mega = |side: &Side| format!("{:.2}", side.macs / 1e6);
    row("MMAC per request", &mega, share(intervals.macs_saved, "saved"));
    let clock = format!("ms for one request (median of {})", report.counts.timed_samples);
    let wall = share(intervals.wall_saved, "saved");
    row(&clock, &|side| format!("{:.2}", side.wall_ms_p50), wall);
    let faster = format!("{:.2} times as many", exit.samples_per_s / full.samples_per_s);
    row("samples/s, batched", &|side| format!("{:.1}", side.samples_per_s), faster);
    rows
}

/// The columns of a row of the confusion.
const ANSWERS: &str = "entailment / neutral / contradiction";

/// How often each label was answered where this one is true.
fn answered(side: &Side, label: Label) -> String {
    match &side.quality {
        Quality::Entailment { confusion, .. } => {
            let counts = confusion.get(&label).into_iter().flat_map(|row| row.values());
            counts.map(u64::to_string).collect::<Vec<_>>().join(" / ")
        }
        Quality::Caption { .. } => String::new(),
    }
}

/// A share of something that may be nothing, as the score of a single caption is.
fn share_of(part: f64, whole: f64) -> String {
    if whole > 0.0 { percent(part / whole) } else { "nothing".to_owned() }
}

fn of_family(side: &Side, family: &str) -> String {
    match &side.quality {
        Quality::Entailment { families, .. } => {
            families.get(family).map(|accuracy| format!("{accuracy:.4}")).unwrap_or_default()
        }
        Quality::Caption { .. } => String::new(),
    }
}

fn exact_match(side: &Side) -> String {
    match &side.quality {
        Quality::Caption { exact_match, .. } => format!("{exact_match:.4}"),
        Quality::Entailment { .. } => String::new(),
    }
}

fn bleu(side: &Side) -> String {
    match &side.quality {
        Quality::Caption { bleu, .. } => bleu.map(|score| format!("{score:.4}")).join(" / "),
        Quality::Entailment { .. } => String::new(),
    }
}

fn rouge_l_and_cider(side: &Side) -> String {
    match &side.quality {
        Quality::Caption { rouge_l, cider, .. } => format!("{rouge_l:.4} / {cider:.4}"),
        Quality::Entailment { .. } => String::new(),
    }
}
