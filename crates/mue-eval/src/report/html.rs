//! The report as one page with plots, which refers to nothing outside it.

use mue_data::datasets::Task;
use mue_engine::Encoding;
use mue_page::{Axes, Figure, Page, PlotError, Series, bars, scatter};

use super::markdown::{COMPARISON, METHOD, comparison};
use super::{Report, TaskReport};
use crate::frontier::{
    GRID_COLUMNS, Row, Rule, cells, columns, grid_cells, percent_of_level, row_name,
};
use crate::measure::{ExitLayers, is_counted};
use crate::{Frontier, findings};

/// The level whose exits the histograms show.
const SHOWN: f64 = 0.99;

impl Report {
    /// A page with plots and all figures.
    ///
    /// # Errors
    ///
    /// If a plot cannot be drawn.
    pub fn html(&self) -> Result<String, PlotError> {
        let Self { model, device, machine, date, command, data, exits, .. } = self;
        let title = format!("mue eval: {model}");
        let mut page = Page::new(&title, &format!("{model} with exits, on {device}"));
        page.paragraph(&format!("Data {data}, exits {exits}. {machine}, {date}."));
        page.paragraph(command);
        if self.has_frontier() {
            page.paragraph(METHOD);
        }
        for (name, task, found) in self.tasks() {
            page.heading(name);
            match &found.frontier {
                Some(frontier) => add_frontier(&mut page, task, (frontier, &found.report))?,
                None => add_comparison(&mut page, task, &found.report)?,
            }
        }
        Ok(page.finish())
    }

    /// The plots of quality by what is saved, if exit rules were compared: files' names and SVG.
    ///
    /// # Errors
    ///
    /// If a plot cannot be drawn.
    pub fn plots(&self) -> Result<Vec<(String, String)>, PlotError> {
        let mut plots = Vec::new();
        for (task, _, found) in self.tasks() {
            let Some(frontier) = &found.frontier else { continue };
            for (saved, figure) in ["macs", "time", "layers"].iter().zip(frontiers(frontier)?) {
                plots.push((format!("{}-{saved}.svg", task.to_lowercase()), figure.alone()));
            }
        }
        Ok(plots)
    }
}

fn add_comparison(page: &mut Page, task: Task, report: &TaskReport) -> Result<(), PlotError> {
    let sides = [("full depth", &report.full), ("exits", &report.exit)];
    let layers: Vec<(String, &ExitLayers)> =
        sides.into_iter().map(|(name, side)| (name.to_owned(), &side.exit_layers)).collect();
    page.figures(histograms((task, report.encoding), &layers)?);
    let caption = format!("Full depth beside exits, {}", report.counts);
    page.table(&caption, &COMPARISON, &comparison(report));
    Ok(())
}

fn add_frontier(
    page: &mut Page,
    task: Task,
    (frontier, report): (&Frontier, &TaskReport),
) -> Result<(), PlotError> {
    page.list(&findings(frontier));
    page.figures(frontiers(frontier)?);
    page.figures(histograms((task, report.encoding), &shown(frontier))?);
    let rows: Vec<Vec<String>> = frontier.rows.iter().map(cells).collect();
    let caption = format!("What was run on {}, tuned on {}", report.counts, frontier.tuned_on);
    page.table(&caption, &columns(task), &rows);
    let grid: Vec<Vec<String>> = frontier.static_grid.iter().rev().map(grid_cells).collect();
    page.table("Every static truncation", &GRID_COLUMNS, &grid);
    Ok(())
}

/// Quality against each measure of what is saved.
fn frontiers(frontier: &Frontier) -> Result<Vec<Figure>, PlotError> {
    let axes = |x| Axes { x, y: "% of full depth's quality", log: false };
    // Far below, nothing is of use, and the rest would be too small to read.
    let floor = lowest(frontier);
    let grid = frontier.static_grid.iter().filter(|point| point.retention >= floor);
    let faint = Series {
        name: "every static truncation".into(),
        points: grid.map(|point| percents((point.macs_saved, point.retention))).collect(),
    };
    let none = Series { name: String::new(), points: Vec::new() };
    let of = |saved: &dyn Fn(&Row) -> f64| series(frontier, floor, saved);
    let figure = |caption: &str, svg| Figure { caption: caption.into(), svg };
    Ok(vec![
        figure(
            "Quality by MACs saved",
            scatter(axes("% of MACs saved"), &faint, &of(&|row| row.macs_saved.estimate))?,
        ),
        figure(
            "Quality by time saved",
            scatter(axes("% of time saved"), &none, &of(&|row| row.wall_saved.estimate))?,
        ),
        figure(
            "Quality by layers saved, as the paper counts",
            scatter(axes("% of layers saved"), &none, &of(&|row| row.layers_saved))?,
        ),
    ])
}

/// The least quality that plots show: a little below the worst row of the model itself.
fn lowest(frontier: &Frontier) -> f64 {
    let own = frontier.rows.iter().filter(|row| row.model.is_none());
    own.filter_map(|row| Some(row.retention?.estimate)).fold(1.0, f64::min) - 0.005
}

/// A series per family in the order of its colours, then one per other model.
fn series(frontier: &Frontier, floor: f64, saved: &dyn Fn(&Row) -> f64) -> Vec<Series> {
    let points = |rows: &mut dyn Iterator<Item = &Row>| {
        let mut points: Vec<(f64, f64)> = rows
            .filter_map(|row| Some((saved(row), row.retention?.estimate)))
            .filter(|(_, retention)| *retention >= floor)
            .map(percents)
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let families = Rule::ALL.into_iter().map(|rule| Series {
        name: rule.name().to_owned(),
        points: points(&mut frontier.of_rule(rule)),
    });
    let mut models: Vec<&String> =
        frontier.rows.iter().filter_map(|row| row.model.as_ref()).collect();
    models.dedup();
    let others = models.into_iter().map(|model| {
        let mut rows = frontier.rows.iter().filter(|row| row.model.as_ref() == Some(model));
        Series { name: model.clone(), points: points(&mut rows) }
    });
    families.chain(others).collect()
}

fn percents((saved, retention): (f64, f64)) -> (f64, f64) {
    (100.0 * saved, 100.0 * retention)
}

/// The rows whose exits the histograms show.
fn shown(frontier: &Frontier) -> Vec<(String, &ExitLayers)> {
    let auto = frontier.of_rule(Rule::Auto).map(|row| (row_name(row), &row.exit_layers));
    let tuned = [Rule::Static, Rule::Mue, Rule::Probability, Rule::Any].into_iter();
    let tuned = tuned.filter_map(|rule| {
        let row = frontier.at(rule, SHOWN)?;
        let name = format!("{} at {}", row_name(row), percent_of_level(SHOWN));
        Some((name, &row.exit_layers))
    });
    auto.chain(tuned).collect()
}

/// Where rows leave each branch.
fn histograms(
    (task, encoding): (Task, Encoding),
    ways: &[(String, &ExitLayers)],
) -> Result<Vec<Figure>, PlotError> {
    let axes = Axes { x: "layer", y: "% of rows", log: false };
    let captions = [
        "Where images leave the encoder",
        "Where texts leave the encoder",
        "Where tokens leave the decoder",
    ];
    let mut figures = Vec::new();
    for (branch, caption) in captions.into_iter().enumerate() {
        let of = |layers: &ExitLayers| layers.branches()[branch].1.to_vec();
        let Some((_, first)) = ways.first() else { break };
        if !is_counted(task, encoding, first.branches()[branch].0) {
            continue;
        }
        let series: Vec<Series> = ways
            .iter()
            .map(|(name, layers)| Series { name: name.clone(), points: shares(&of(layers)) })
            .collect();
        figures.push(Figure { caption: caption.into(), svg: bars(axes, &series)? });
    }
    Ok(figures)
}

fn shares(counts: &[u64]) -> Vec<(f64, f64)> {
    let rows = counts.iter().sum::<u64>().max(1) as f64;
    let counted = counts.iter().enumerate();
    counted.map(|(place, count)| (place as f64 + 1.0, 100.0 * *count as f64 / rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::tests::report;
    use crate::report::{Counts, percent, spread};

    #[test]
    fn the_page_has_every_row_and_every_static_truncation() {
        let report = report();
        let page = report.html().unwrap();
        let frontier = report.entailment.as_ref().unwrap().frontier.as_ref().unwrap();
        assert!(frontier.rows.len() > 5 && frontier.static_grid.len() == 27);
        // A head for each of both tables.
        let rows = frontier.rows.len() + frontier.static_grid.len() + 2;
        assert_eq!(page.matches("<tr>").count(), rows);
        for row in &frontier.rows {
            assert!(page.contains(row.rule.name()), "{row:?}");
            assert!(
                page.contains(&spread(row.macs_saved)) && page.contains(&spread(row.wall_saved))
            );
        }
        for point in &frontier.static_grid {
            assert!(page.contains(&format!("<td>{}</td>", percent(point.macs_saved))));
        }
        assert_eq!(page.matches("<svg").count(), 6);
        assert!(page.contains("other &lt;model&gt;") && !page.contains("other <model>"));
    }

    #[test]
    fn texts_that_are_encoded_with_their_pictures_have_no_plot_of_their_own() {
        let plots = |encoding| {
            let mut report = report();
            let entailment = report.entailment.as_mut().unwrap();
            entailment.frontier = None;
            entailment.report.encoding = encoding;
            let page = report.html().unwrap();
            (page.matches("<svg").count(), page.contains("Where texts leave"))
        };
        assert_eq!(plots(Encoding::Decomposed), (3, true));
        assert_eq!(plots(Encoding::Joint), (2, false));
    }

    #[test]
    fn a_name_ends_no_cell_of_a_table_in_markdown() {
        let text = report().markdown();
        assert!(text.contains("| other <model>\\|1: "), "{text}");
        let mut rows = text.lines().filter(|line| line.starts_with('|'));
        assert!(rows.all(|row| !row.contains("<model>|1")));
    }

    #[test]
    fn what_was_left_out_is_said() {
        let counts = report().entailment.unwrap().report.counts;
        let said = |left_out, disputed| Counts { left_out, disputed, ..counts }.to_string();
        assert_eq!(said(0, 0), "24 samples");
        assert_eq!(said(3, 0), "24 samples (3 left out)");
        assert_eq!(said(3, 2), "24 samples (3 left out, 2 disputed)");
    }

    #[test]
    fn every_plot_of_a_frontier_is_a_file_too() {
        let report = report();
        let page = report.html().unwrap();
        let plots = report.plots().unwrap();
        let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["entailment-macs.svg", "entailment-time.svg", "entailment-layers.svg"]);
        for ((_, svg), saved) in plots.iter().zip(["MACs", "time", "layers"]) {
            assert!(svg.contains(&format!("% of {saved} saved")), "{saved}");
            let drawn: Vec<&str> = svg.lines().skip(2).collect(); // behind the ground that is its own
            assert!(drawn.len() > 10 && page.contains(&drawn.join("\n")), "{saved}");
        }
    }

    #[test]
    fn the_page_refers_to_nothing_outside_it() {
        let page = report().html().unwrap().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}
