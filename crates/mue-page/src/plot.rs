//! Plots as SVG.

mod canvas;

use std::io;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use canvas::{Area, COLOURS, Chart, Drawn, builder, legend, mesh, right_of, svg, swatch, tidy};

/// A plot cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a plot")]
pub struct PlotError(#[from] DrawingAreaErrorKind<io::Error>);

/// Points that are there for comparison.
const FAINT: RGBColor = RGBColor(0x9a, 0x9f, 0xa6);

/// A named line, or a named row of bars. Its place among others gives it its colour and marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// As the legend has it.
    pub name: String,
    /// Horizontal and vertical.
    pub points: Vec<(f64, f64)>,
}

/// What a plot's axes are.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    /// The horizontal one.
    pub x: &'static str,
    /// The vertical one.
    pub y: &'static str,
    /// Whether the vertical axis is logarithmic.
    pub log: bool,
}

/// Lines with a dot at each point.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn lines(axes: Axes, series: &[Series]) -> Result<String, PlotError> {
    let points = || series.iter().flat_map(|series| &series.points);
    let x_max = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let y_max = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let x = 0.0..headroom(x_max);
    svg(|area| match axes.log {
        true => {
            let positive = points().map(|(_, y)| *y).filter(|y| *y > 0.0);
            let low = positive.fold(headroom(y_max), f64::min) / 1.5;
            let y = (low..headroom(y_max) * 1.5).log_scale();
            draw_lines(area, axes, (x.clone(), y), series)
        }
        false => draw_lines(area, axes, (x.clone(), 0.0..headroom(y_max)), series),
    })
}

/// Lines over ranges of which the vertical one may be logarithmic.
fn draw_lines<Y>(
    area: &Area<'_>,
    axes: Axes,
    (x, y): (std::ops::Range<f64>, Y),
    series: &[Series],
) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = builder(area).build_cartesian_2d(x, y)?;
    mesh(&mut chart, axes, tidy)?;
    for (place, series) in series.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(line.point_size(4))?;
        drawn.label(&series.name).legend(move |at| swatch(at, colour));
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

/// Bars side by side at whole numbers.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn bars(axes: Axes, series: &[Series]) -> Result<String, PlotError> {
    let points = || series.iter().flat_map(|series| &series.points);
    let low = points().map(|(x, _)| *x).fold(1.0, f64::min);
    let high = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let y_max = points().map(|(_, y)| *y).fold(0.0, f64::max);
    let width = 0.8 / series.len().max(1) as f64;
    svg(|area| {
        let x = (low - 0.5)..(high + 0.5);
        let mut chart = builder(area).build_cartesian_2d(x, 0.0..headroom(y_max))?;
        mesh(&mut chart, axes, |x| match x.fract() == 0.0 {
            true => format!("{x:.0}"),
            false => String::new(),
        })?;
        for (place, series) in series.iter().enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let left = place as f64 * width - 0.4;
            let bars = series.points.iter().map(|(x, y)| {
                let corners = [(x + left, 0.0), (x + left + width, *y)];
                Rectangle::new(corners, colour.filled())
            });
            let drawn = chart.draw_series(bars)?;
            drawn.label(&series.name).legend(move |at| swatch(at, colour));
        }
        legend(&mut chart, SeriesLabelPosition::UpperMiddle)
    })
}

/// Markers joined by thin lines, over as much of the axes as they take, with faint dots behind.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn scatter(axes: Axes, faint: &Series, series: &[Series]) -> Result<String, PlotError> {
    let points = || series.iter().chain([faint]).flat_map(|series| &series.points);
    let x = fitted(points().map(|(x, _)| *x));
    let y = fitted(points().map(|(_, y)| *y));
    svg(|area| {
        let mut chart = builder(area).build_cartesian_2d(x.clone(), y.clone())?;
        mesh(&mut chart, axes, tidy)?;
        let dots = faint.points.iter().map(|at| Circle::new(*at, 2, FAINT.filled()));
        let drawn = chart.draw_series(dots)?;
        if !faint.points.is_empty() {
            drawn.label(&faint.name).legend(move |at| Circle::new(right_of(at), 2, FAINT.filled()));
        }
        for (place, series) in series.iter().enumerate() {
            if series.points.is_empty() {
                continue;
            }
            let colour = COLOURS[place % COLOURS.len()];
            let thin = colour.mix(0.5).stroke_width(1);
            chart.draw_series(LineSeries::new(series.points.iter().copied(), thin))?;
            mark(&mut chart, series, place)?;
        }
        legend(&mut chart, SeriesLabelPosition::LowerLeft)
    })
}

/// Draws a series' points and its entry in the legend: places differ in shape as well as in colour.
fn mark<'a, 'b: 'a, X, Y>(chart: &mut Chart<'a, 'b, X, Y>, series: &Series, place: usize) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let colour = COLOURS[place % COLOURS.len()];
    let (filled, points) = (colour.filled(), series.points.iter().copied());
    let square = [(-4, -4), (4, 4)];
    match place % 4 {
        0 => chart
            .draw_series(points.map(|at| Circle::new(at, 4, filled)))?
            .legend(move |at| Circle::new(right_of(at), 4, filled)),
        1 => chart
            .draw_series(points.map(|at| TriangleMarker::new(at, 5, filled)))?
            .legend(move |at| TriangleMarker::new(right_of(at), 5, filled)),
        2 => chart
            .draw_series(points.map(|at| EmptyElement::at(at) + Rectangle::new(square, filled)))?
            .legend(move |at| EmptyElement::at(right_of(at)) + Rectangle::new(square, filled)),
        _ => chart
            .draw_series(points.map(|at| Cross::new(at, 4, colour.stroke_width(2))))?
            .legend(move |at| Cross::new(right_of(at), 4, colour.stroke_width(2))),
    }
    .label(&series.name);
    Ok(())
}

/// The range that holds all values, with some room at both ends.
fn fitted(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
        Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    let Some((low, high)) = ends else { return 0.0..1.0 };
    let room = if high > low { (high - low) * 0.06 } else { 0.5 };
    (low - room)..(high + room)
}

/// A little more than the most there is.
fn headroom(max: f64) -> f64 {
    match max > 0.0 {
        true => max * 1.1,
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Vec<Series> {
        let of = |name: &str, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        vec![of("off", &[(1.0, 20.0), (2.0, 400.0)]), of("auto", &[(1.0, 10.0), (2.0, 15.0)])]
    }

    const AXES: Axes = Axes { x: "answers per second", y: "ms", log: true };

    #[test]
    fn every_series_is_drawn_and_named() {
        for axes in [AXES, Axes { log: false, ..AXES }] {
            let svg = lines(axes, &series()).unwrap();
            assert!(svg.matches("<polyline").count() >= 2, "{svg}");
            assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
            for words in ["off", "auto", "answers per second", "ms"] {
                assert!(svg.contains(words), "{words}: {svg}");
            }
        }
        let svg = bars(Axes { log: false, ..AXES }, &series()).unwrap();
        // Four bars and a swatch per series, in the series' colours.
        for colour in ["#D55E00", "#008BCE"] {
            let filled = format!("fill=\"{colour}\"");
            assert_eq!(svg.matches(&filled).count(), 3, "{svg}");
        }
    }

    #[test]
    fn a_scatter_shows_every_point_and_fits_its_axes() {
        let far = [(90.0, 0.9), (95.0, 0.91), (92.0, 0.95)];
        let faint = Series { name: "others".to_owned(), points: far.to_vec() };
        let svg = scatter(Axes { log: false, ..AXES }, &faint, &series()).unwrap();
        let count = |colour: &str| svg.matches(colour).count();
        // Faint dots and one in the legend; then circles of the first, triangles of the second.
        assert_eq!(count("fill=\"#9A9FA6\""), 4, "{svg}");
        assert_eq!((count("fill=\"#D55E00\""), count("fill=\"#008BCE\"")), (3, 3), "{svg}");
        assert!(svg.contains("others") && svg.contains("auto"));
        let range = fitted([0.9, 1.0].into_iter());
        assert!(range.start > 0.85 && range.end < 1.05, "{range:?}");
        assert_eq!(fitted([3.0].into_iter()), 2.5..3.5);
    }

    #[test]
    fn nothing_to_show_is_an_empty_plot() {
        let empty = Series { name: "off".to_owned(), points: Vec::new() };
        assert!(lines(AXES, std::slice::from_ref(&empty)).unwrap().contains("<svg"));
        assert!(bars(AXES, std::slice::from_ref(&empty)).unwrap().contains("<svg"));
        assert!(scatter(AXES, &empty, &[]).unwrap().contains("<svg"));
    }

    #[test]
    fn numbers_have_no_tail() {
        assert_eq!([tidy(10.0), tidy(0.25), tidy(1000.0)], ["10", "0.25", "1000"]);
    }
}
