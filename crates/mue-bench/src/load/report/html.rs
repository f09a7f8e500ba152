//! The report as one page with plots, which refers to nothing outside it.

use mue_page::{Axes, Figure, Page, PlotError, Series, bars, lines};

use super::Report;
use super::text::{COLUMNS, LEGEND, cells, reasons};
use crate::load::curve::Curve;
use crate::load::layers::{BranchLayers, Layers};
use crate::load::point::Point;

/// The page of a report, if it has a curve: its plots and its table.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn html(report: &Report) -> Result<Option<String>, PlotError> {
    let Some(curve) = &report.curve else { return Ok(None) };
    let (model, device) = (&report.server.model, &report.server.device);
    let heading = format!("{model} under load, on {device}");
    let mut page = Page::new(&format!("mue bench: {model}"), &heading);
    page.paragraph(&report.setup.summary());
    for found in &curve.saturation {
        let (exit, most) = (&found.exit, found.answers_per_s);
        page.paragraph(&format!("Saturated, exits {exit}: {most:.1} answers/s"));
    }
    page.heading("Load");
    page.figures(figures(load_plots(curve)?));
    page.heading("Exits");
    page.figures(figures(exit_plots(curve)?));
    page.heading("Figures");
    let rows: Vec<Vec<String>> = curve.points.iter().map(|point| cells(point).to_vec()).collect();
    page.table("Every setting at every rate", &COLUMNS, &rows);
    page.paragraph(LEGEND);
    for reason in reasons(curve) {
        page.paragraph(&reason);
    }
    Ok(Some(page.finish()))
}

/// A plot and its caption.
type Captioned = (&'static str, String);

fn figures(plots: Vec<Captioned>) -> Vec<Figure> {
    let figure = |(caption, svg): Captioned| Figure { caption: caption.to_owned(), svg };
    plots.into_iter().map(figure).collect()
}

fn load_plots(curve: &Curve) -> Result<Vec<Captioned>, PlotError> {
    let latency = Axes { x: "answers per second", y: "ms", log: true };
    let answered = Axes { x: "requests per second", y: "answers per second", log: false };
    let rows = Axes { y: "rows", ..answered };
    let p50 = |point: &Point| Some((point.answered_per_s, point.latency_ms?.p50));
    let p99 = |point: &Point| Some((point.answered_per_s, point.latency_ms?.p99));
    Ok(vec![
        ("Latency, median", lines(latency, &by_exit(curve, p50))?),
        ("Latency, 99 in 100", lines(latency, &by_exit(curve, p99))?),
        (
            "Answered of what was offered",
            lines(answered, &by_exit(curve, |point| Some((point.rate, point.answered_per_s))))?,
        ),
        (
            "Mean rows of a decoder step",
            lines(rows, &by_exit(curve, |point| Some((point.rate, point.decode_rows_mean?))))?,
        ),
    ])
}

fn exit_plots(curve: &Curve) -> Result<Vec<Captioned>, PlotError> {
    let saved = Axes { x: "requests per second", y: "% of full depth's compute", log: false };
    let left = Axes { x: "layer", y: "% of rows", log: false };
    let layers = layers_by_exit(curve);
    let of = |branch: fn(&Layers) -> &BranchLayers| {
        let series: Vec<_> =
            layers.iter().map(|(name, layers)| shares(name, branch(layers))).collect();
        bars(left, &series)
    };
    let share = |point: &Point| Some((point.rate, 100.0 * point.saved?));
    Ok(vec![
        ("Where images leave the encoder", of(|layers| &layers.image)?),
        ("Where texts leave the encoder", of(|layers| &layers.text)?),
        ("Where tokens leave the decoder", of(|layers| &layers.decoder)?),
        ("Compute saved", lines(saved, &by_exit(curve, share))?),
    ])
}

/// The exit settings in the order in which they come first.
fn exits(curve: &Curve) -> Vec<&str> {
    let mut exits: Vec<&str> = Vec::new();
    for point in &curve.points {
        if !exits.contains(&point.exit.as_str()) {
            exits.push(&point.exit);
        }
    }
    exits
}

/// A line per exit setting through what its points give.
fn by_exit(curve: &Curve, of: impl Fn(&Point) -> Option<(f64, f64)>) -> Vec<Series> {
    let line = |exit: &str| {
        let points = curve.points.iter().filter(|point| point.exit == exit);
        Series { name: format!("exits {exit}"), points: points.filter_map(&of).collect() }
    };
    exits(curve).into_iter().map(line).collect()
}

/// The exit layers of all points of each setting.
fn layers_by_exit(curve: &Curve) -> Vec<(String, Layers)> {
    let all = |exit: &str| {
        let mut layers = Layers::default();
        let points = curve.points.iter().filter(|point| point.exit == exit);
        points.for_each(|point| layers.merge(&point.layers));
        (format!("exits {exit}"), layers)
    };
    exits(curve).into_iter().map(all).collect()
}

/// The share of rows that left at each layer; layer 0 only if rows left there.
fn shares(name: &str, branch: &BranchLayers) -> Series {
    let rows = branch.rows().max(1) as f64;
    let counted = branch.counts().iter().enumerate();
    let counted = counted.filter(|(layer, count)| *layer > 0 || **count > 0);
    let points = counted.map(|(layer, count)| (layer as f64, 100.0 * *count as f64 / rows));
    Series { name: name.to_owned(), points: points.collect() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_page_shows_every_plot_and_every_point() {
        let page = html(&report()).unwrap().unwrap();
        assert_eq!((page.matches("<svg").count(), page.matches("<tr>").count()), (8, 5));
        for words in ["Latency, median", "Compute saved", "exits off", "exits auto", "answers/s"] {
            assert!(page.contains(words), "{words}");
        }
    }

    #[test]
    fn the_page_refers_to_nothing_outside_it() {
        let page = html(&report()).unwrap().unwrap();
        let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn names_are_text_and_not_markup() {
        let page = html(&report()).unwrap().unwrap();
        assert!(page.contains("&lt;made&gt; &amp; up") && !page.contains("<made>"));
    }

    #[test]
    fn lines_and_bars_are_those_of_their_setting() {
        let report = report();
        let curve = report.curve.as_ref().unwrap();
        let p50 = by_exit(curve, |point| Some((point.rate, point.latency_ms?.p50)));
        assert_eq!(p50[0].points, [(10.0, 20.0), (20.0, 400.0)]);
        assert_eq!(p50[1].name, "exits auto");
        let layers = layers_by_exit(curve);
        // One of two images of each point at the first layer, and one at the last.
        let image = shares("off", &layers[0].1.image);
        assert_eq!(image.points, [(1.0, 50.0), (2.0, 0.0), (3.0, 50.0)]);
    }
}
