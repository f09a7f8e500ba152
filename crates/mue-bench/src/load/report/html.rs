//! The report as one page with plots, which refers to nothing outside it.

use std::fmt::Write;

use super::Report;
use super::plot::{Axes, PlotError, Series, bars, lines};
use super::text::{COLUMNS, LEGEND, cells};
use crate::load::curve::Curve;
use crate::load::layers::{BranchLayers, Layers};
use crate::load::point::Point;

const STYLE: &str = include_str!("page.css");

/// The page of a report, if it has a curve: its plots and its table.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn html(report: &Report) -> Result<Option<String>, PlotError> {
    let Some(curve) = &report.curve else { return Ok(None) };
    let model = escaped(&report.server.model);
    let device = escaped(&report.server.device);
    let setup = escaped(&report.setup.summary());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>mue bench: {model}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{model} under load, on {device}</h1>\n<p>{setup}</p>\n"
    );
    for found in &curve.saturation {
        let (exit, most) = (escaped(&found.exit), found.answers_per_s);
        push(&mut page, format_args!("<p>Saturated, exits {exit}: {most:.1} answers/s</p>\n"));
    }
    page.push_str("<h2>Load</h2>\n");
    page.push_str(&figures(load_plots(curve)?));
    page.push_str("<h2>Exits</h2>\n");
    page.push_str(&figures(exit_plots(curve)?));
    page.push_str("<h2>Figures</h2>\n");
    page.push_str(&table(curve));
    push(&mut page, format_args!("<p>{}</p>\n</body>\n</html>\n", escaped(LEGEND)));
    Ok(Some(page))
}

/// A plot and its caption.
type Figure = (&'static str, String);

fn load_plots(curve: &Curve) -> Result<Vec<Figure>, PlotError> {
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

fn exit_plots(curve: &Curve) -> Result<Vec<Figure>, PlotError> {
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

fn figures(figures: Vec<Figure>) -> String {
    let mut html = String::from("<div class=\"plots\">\n");
    for (caption, svg) in figures {
        push(
            &mut html,
            format_args!("<figure><figcaption>{caption}</figcaption>\n{svg}</figure>\n"),
        );
    }
    html + "</div>\n"
}

fn table(curve: &Curve) -> String {
    let heads: String = COLUMNS.iter().map(|column| format!("<th>{column}</th>")).collect();
    let mut html = format!("<div class=\"table\"><table>\n<tr>{heads}</tr>\n");
    for point in &curve.points {
        let cells: String =
            cells(point).iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        push(&mut html, format_args!("<tr>{cells}</tr>\n"));
    }
    html + "</table></div>\n"
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a string can be written to");
}

/// Text as HTML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
    fn colours_of_the_plots_are_those_that_the_style_replaces() {
        let page = html(&report()).unwrap().unwrap();
        for colour in ["fill=\"#333333\"", "stroke=\"#333333\"", "stroke=\"#DDDDDD\""] {
            let drawn = page.replace(STYLE, "");
            assert!(drawn.contains(colour) && STYLE.contains(colour), "{colour}");
        }
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
