//! Rows in figures that people read.

use mue_data::datasets::Task;

use super::rows::depths_of;
use super::{GridPoint, Row, Rule};
use crate::Quality;
use crate::report::{kept, percent, spread};

/// Heads of the columns of a row.
pub(crate) fn columns(task: Task) -> Vec<&'static str> {
    let mut columns = vec!["exits", "tuned to"];
    match task {
        Task::Entailment => columns.push("accuracy"),
        Task::Caption => columns.extend(["CIDEr-D", "exact match"]),
    }
    columns.extend([
        "quality kept",
        "layers saved",
        "MACs saved",
        "time saved",
        "layers, image / text / decoder",
        "MACs against static",
    ]);
    columns
}

/// A row, column by column.
pub(crate) fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row_name(row), levels(row)];
    cells.extend(quality(&row.quality));
    let layers = row.layers.map(|layers| format!("{layers:.2}")).join(" / ");
    let against = row.hindsight.as_ref().filter(|_| row.rule != Rule::Full);
    cells.extend([
        kept(row.retention),
        percent(row.layers_saved),
        spread(row.macs_saved),
        spread(row.wall_saved),
        layers,
        against.map_or_else(String::new, |point| less(1.0 - row.macs / point.macs)),
    ]);
    cells
}

/// The main score, and of captions how many are the canonical one.
pub(crate) fn quality(quality: &Quality) -> Vec<String> {
    match quality {
        Quality::Entailment { accuracy, .. } => vec![format!("{accuracy:.3}")],
        Quality::Caption { cider_d, exact_match, .. } => {
            vec![format!("{cider_d:.3}"), format!("{exact_match:.3}")]
        }
    }
}

/// The family, and whose it is if not the model's own.
pub(crate) fn row_name(row: &Row) -> String {
    match &row.model {
        Some(model) => format!("{model}: {}", row.rule.name()),
        None => row.rule.name().to_owned(),
    }
}

fn levels(row: &Row) -> String {
    row.levels.iter().map(|level| percent_of_level(*level)).collect::<Vec<_>>().join(", ")
}

/// A level as it is spoken of.
pub(crate) fn percent_of_level(level: f64) -> String {
    format!("{:.0}%", 100.0 * level)
}

/// A share as a comparison.
pub(crate) fn less(share: f64) -> String {
    let (size, word) = (100.0 * share.abs(), if share >= 0.0 { "less" } else { "more" });
    match format!("{size:.1}").as_str() {
        "0.0" => "the same".into(),
        size => format!("{size}% {word}"),
    }
}

/// Heads of the columns of a static truncation.
pub(crate) const GRID_COLUMNS: [&str; 3] =
    ["depths, image / text / decoder", "quality kept", "MACs saved"];

/// A static truncation, column by column.
pub(crate) fn grid_cells(point: &GridPoint) -> Vec<String> {
    vec![depths(point), percent(point.retention), percent(point.macs_saved)]
}

/// The depths of a static truncation; a branch that cannot leave on its own has none.
pub(crate) fn depths(point: &GridPoint) -> String {
    depths_of(&point.exits)
        .map(|depth| depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string()))
        .join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_says_which_way_it_falls() {
        let texts = [0.123, -0.05, 0.0001].map(less);
        assert_eq!(texts, ["12.3% less", "5.0% more", "the same"]);
    }
}
